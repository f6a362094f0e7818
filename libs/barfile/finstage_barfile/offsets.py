"""The zone that a text has after its time: Z, +09:00, GMT+0700, or EST as RFC 2822 has it."""

import re

import pandas as pd

from finstage_barfile.table import Text

_ZONES = {
    "EST": -300,
    "EDT": -240,
    "CST": -360,
    "CDT": -300,
    "MST": -420,
    "MDT": -360,
    "PST": -480,
    "PDT": -420,
}
_OFFSET = (
    r"(?P<zulu>Z| ?UTC| ?GMT)|"
    r" ?(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?(?::?00)?(?: UTC)?|"
    rf" (?P<name>{'|'.join(_ZONES)})"
)
# After the time of day only: "2024-01-02" ends like an offset.
_ENDS = rf"^(?P<time>.*?\d[T ].*?\d(?: ?[AaPp][Mm])?)(?:{_OFFSET})$"
_CLOCK = r"\d[T ]\d.*\d"
# What pandas would take for an offset, or for a zone of its own.
PERHAPS = r"\d[T ].*(?:[A-Z]{3,4}$|Z|[+-]|UTC)"


def are_there(cells: Text) -> bool:
    """Whether half of the cells or more have one."""
    return 2 * int(split(cells)[1].count()) >= len(cells)


def split(cells: Text) -> tuple[Text, "pd.Series[float]"]:
    """The cells without their offsets, and these in minutes; NaN in both where there is none."""
    tails = cells.str.slice(-6)
    distinct = tails.dropna().unique()
    if (
        all(re.fullmatch(r"[+-]\d\d:\d\d", tail) for tail in distinct)
        and cells.str.contains(_CLOCK, na=True).all()
    ):
        # Many cells with few offsets: the usual case, by whole columns.
        known = {tail: float(f"{tail[0]}{60 * int(tail[1:3]) + int(tail[4:])}") for tail in distinct}
        return cells.str.slice(0, -6).str.rstrip(), tails.map(known).astype("float64")
    parts = cells.str.extract(_ENDS)
    minutes = parts["hours"].astype("float64") * 60 + parts["minutes"].astype("float64").fillna(0)
    minutes = minutes.where(parts["sign"] != "-", -minutes)
    minutes = minutes.mask(parts["zulu"].notna(), 0.0)
    minutes = minutes.fillna(parts["name"].map(_ZONES).astype("float64"))
    return parts["time"].astype("str").where(minutes.notna()), minutes

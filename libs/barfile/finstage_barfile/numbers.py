"""Numbers that are written as text, and what tells their decimal sign.

1.234 is one number or another, and 1,234 too; a column alone does not always tell which. So all columns of a
file decide together. Where they do not tell, a dot is the decimal sign in files where that is usual, and all
else is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finstage_barfile.errors import Unreadable
from finstage_barfile.table import Guess, Text
from finstage_market.columns import Float64s

# How a cell says that there is no number: what pandas takes for that, fixed here.
NOTHING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

DECIMALS = (".", ",")
_CURRENCY = "[$€£¥]?"
_POWERS = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}
_SAMPLE = 1000


# Signs between groups of digits, beside the comma or the dot: Swiss, French and others'.
_APART = "'’ \u00a0\u2009\u202f"


def _pattern(decimal: str, group: str) -> str:
    """1,234.5, 12,34,567, 1'234.5, 1 234.5 or 1234.5e3, with a currency before or after it."""
    threes = "|".join(rf"(?:{sign}[0-9]{{3}})+" for sign in (re.escape(group), *_APART))
    # Indian groups are of two digits, but for the last.
    twos = rf"(?:{re.escape(group)}[0-9]{{2}})+{re.escape(group)}[0-9]{{3}}"
    grouped = rf"[1-9][0-9]{{0,2}}(?:{threes})(?:\{decimal}[0-9]*)?|[1-9][0-9]?{twos}(?:\{decimal}[0-9]*)?"
    plain = rf"(?:[0-9]+(?:\{decimal}[0-9]*)?|\{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    return rf"[+-]?{_CURRENCY}(?:{grouped}|{plain}) ?{_CURRENCY}"


_PATTERNS = {".": _pattern(".", ","), ",": _pattern(",", ".")}
_GROUPS = {".": ",", ",": "."}
_POWER = "[KMBTkmbt]?"
_COMPILED = tuple(re.compile(_PATTERNS[sign] + _POWER) for sign in DECIMALS)


@dataclass(frozen=True, slots=True)
class Signs:
    """The first cells of a column that tell something of the decimal sign; empty where none does.

    point, comma: one that is a number only so. either: one that is a number both ways, but not the same.
    """

    point: str
    comma: str
    either: str


def plain(cells: Text) -> Float64s | None:
    """float64[n] of cells that are numbers as programs write them, NaN where a cell is missing.

    None: not all of them are.
    """
    try:
        # As a whole: NumPy asks float(), which reads every digit, and takes 1_0 for 10.
        values = cells.to_numpy(dtype=np.object_).astype(np.float64)
    except ValueError:
        return None
    return None if cells.str.contains("_", regex=False, na=False).any() else values


def read(cells: Text, decimal: str, *, powers: bool = False) -> Float64s:
    """float64[n], NaN where a cell is not a number. powers: 1.2M is one."""
    cells = cells.str.strip()
    is_number = cells.str.fullmatch(_PATTERNS[decimal] + (_POWER if powers else ""), na=False)
    bare = cells.where(is_number).str.replace(rf"[$€£¥{_APART}{_GROUPS[decimal]}]", "", regex=True)
    bare = bare.str.replace(decimal, ".", regex=False)
    for letter, power in _POWERS.items() if powers else ():
        bare = bare.str.replace(f"[{letter}{letter.lower()}]$", power, regex=True)
    return bare.to_numpy(dtype=np.object_).astype(np.float64)


def signs(cells: Text, *, is_plain: bool) -> Signs:
    """What the cells of a column tell. is_plain: plain() reads them, so none has a comma."""
    sample = cells.iloc[:_SAMPLE]
    found = _signs_of_few(sample.dropna().tolist(), is_plain=is_plain)
    if len(sample) == len(cells) or (is_plain and found.point):
        return found
    return _signs(cells)


def _signs_of_few(cells: Sequence[str], *, is_plain: bool) -> Signs:
    """The same as _signs, without what a call of pandas costs."""
    point = comma = either = ""
    for cell in map(str.strip, cells):
        if "." in cell or "," in cell:
            is_point, is_comma = (pattern.fullmatch(cell) is not None for pattern in _COMPILED)
            point = point or (cell if is_point and not is_comma else "")
            comma = comma or (cell if is_comma and not is_point else "")
            either = either or (cell if is_point and is_comma else "")
            if point and (comma or is_plain):
                break
    return Signs(point, comma, either)


def _signs(cells: Text) -> Signs:
    cells = cells[cells.str.contains("[.,]", na=False).to_numpy(dtype=bool)].str.strip()
    point, comma = (cells.str.fullmatch(_PATTERNS[sign] + _POWER).to_numpy(dtype=bool) for sign in DECIMALS)

    def first(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
        return str(cells.iloc[int(mask.argmax())]) if mask.any() else ""

    return Signs(first(point & ~comma), first(comma & ~point), first(point & comma))


def decided(columns: Mapping[str, Signs], usual: str | None) -> tuple[str, Guess | None]:
    """The decimal sign of all numbers of a file, and what was guessed for that.

    Args:
        usual: the sign that goes without saying in such a file, if one does.

    Raises:
        Unreadable: they contradict each other, or nothing tells.
    """
    point, comma, either = (
        next(((getattr(s, kind), name) for name, s in columns.items() if getattr(s, kind)), None)
        for kind in ("point", "comma", "either")
    )
    if point and comma:
        raise Unreadable(
            f"column {point[1]!r} has {point[0]!r}, with a decimal point, and column {comma[1]!r} has "
            f"{comma[0]!r}, with a decimal comma",
            settled_by="decimal",
        )
    if comma:
        return ",", None
    if point or not either:
        return ".", None
    cell, name = either
    if usual is None or usual not in cell:
        readings = " or ".join(f"{read_one(cell, decimal):g}" for decimal in DECIMALS)
        raise Unreadable(
            f"column {name!r} has {cell!r}, which can be {readings}; no other number of the file tells which",
            settled_by="decimal",
        )
    sign = "point" if usual == "." else "comma"
    return usual, Guess(f"{cell!r} in column {name!r} was read with a decimal {sign}", "decimal")


# 110'160: a group of thousands, or, for a bond, a whole and 16 and no eighths of 32nds.
_TICKS = r"[+-]?[0-9]{1,3}['’](?:[0-2][0-9]|3[01])[0-7]"
_GROUPED = (
    r"[+-]?[$€£¥]?[0-9]{1,3}(?:['’][0-9]{3}){2,}(?:[.,][0-9]*)?|[+-]?[$€£¥]?[0-9]{1,3}['’][0-9]{3}[.,][0-9]*"
)
_NOT_TICKS = r"[+-]?[0-9]{1,3}['’](?:[4-9][0-9]{2}|3[2-9][0-9]|[0-9]{2}[89])"


def apostrophes(cells: Text) -> tuple[str, str, str]:
    """The first cell that may be a price in 32nds, that is grouped for sure, and that is in no 32nds.

    Each is empty where there is none; "for sure" is with several groups, or with a decimal sign.
    """
    cells = cells[cells.str.contains("['’]", na=False).to_numpy(dtype=bool)].str.strip()
    found = (cells[cells.str.fullmatch(each).to_numpy(dtype=bool)] for each in (_TICKS, _GROUPED, _NOT_TICKS))
    ticks, grouped, other = (str(some.iloc[0]) if len(some) else "" for some in found)
    return ticks, grouped, other


def read_one(cell: str, decimal: str) -> float:
    """The number that the cell says."""
    return float(read(pd.Series([cell], dtype="str"), decimal, powers=True)[0])


def ratios(cells: Text) -> Text:
    """The cells, those of two numbers ("4:1", "4/1", "4 for 1") as the number that these make."""
    parts = cells.str.extract(r"^\s*(\d+(?:\.\d+)?)\s*(?::|/|-?for-?| for )\s*(\d+(?:\.\d+)?)\s*$")
    made = parts[0].astype("float64") / parts[1].astype("float64")
    return cells.where(made.isna(), made.astype("str"))

"""Times that are written in two columns, a date and a time of day."""

import pandas as pd

from finstage_barfile.table import Text

_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?(?:Z|[+-]\d\d:?\d\d)?"
# 93000 and 930, which are written as numbers; 0 is midnight.
_NUMBER = r"0|\d{3,6}"
_MIDNIGHT = r"[T ]0?0:00(?::00(?:\.0+)?)?$"
_EPOCH = r"-?\d{9,}(?:\.\d*)?"
_SAMPLE = 1000


def are_dates(cells: Text) -> bool:
    """Whether none of the first cells has a time of day of its own, other than midnight."""
    sample = cells.dropna().iloc[:_SAMPLE].str.replace(_MIDNIGHT, "", regex=True)
    return not (sample.str.contains(":") | sample.str.fullmatch(_EPOCH)).any()


def are_clocks(cells: Text) -> bool:
    """Whether most of the cells are times of day."""
    sample = cells.dropna().iloc[:_SAMPLE]
    return 2 * int(sample.str.fullmatch(f"{_CLOCK}|{_NUMBER}").sum()) > len(sample)


def joined(dates: Text, clocks: Text) -> Text:
    """The dates with their times of day: "2024.01.02" and "93000" are "2024.01.02 09:30:00"."""
    numbers = clocks[clocks.str.fullmatch(_NUMBER, na=False)]
    if len(numbers):
        digits = numbers.str.zfill(6 if numbers.str.len().max() > 4 else 4)
        parts = [digits.str.slice(at, at + 2) for at in range(0, digits.str.len().max(), 2)]
        clocks = clocks.copy()
        clocks[numbers.index] = pd.concat(parts, axis=1).agg(":".join, axis=1)
    return pd.Series(dates.str.replace(_MIDNIGHT, "", regex=True).str.cat(clocks, sep=" "), dtype="str")

"""Which column is which: as given, and else by name, whatever its case and prefix ("AAPL.Adjusted")."""

import re
from collections.abc import Mapping, Sequence

from libs.barfile.errors import NoColumn, Unreadable
from libs.market.columns import PRICES, VALUES

FIELDS = ("time", *VALUES, "adjusted_close")
EVENTS = ("dividends", "splits", "capital_gains")

# What pandas calls the column of an index without a name; in CSV that is the first one, without a name.
_PARQUET_INDEX = "__index_level_0__"

_NAMES = {
    "time": ("date", "datetime", "time", "timestamp", "opentime", "day"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice", "last"),
    "volume": ("volume", "vol", "v"),
    "adjusted_close": ("adjclose", "adjustedclose", "adjusted"),
    "dividends": ("dividends",),
    "splits": ("stocksplits", "splits"),
    "capital_gains": ("capitalgains", "gains"),
}


def find(names: Sequence[str], given: Mapping[str, str], *, events: bool) -> dict[str, str]:
    """The column of each field that has one.

    Args:
        given: columns by field, over what would be guessed.
        events: whether to look for EVENTS too.

    Raises:
        ValueError: `given` names a field that is none of FIELDS.
        Unreadable: it names a column that is not there. NoColumn: the time or a price has none.
    """
    for field, name in given.items():
        if field not in FIELDS:
            raise ValueError(f"{field!r} is none of {', '.join(FIELDS)}")
        if name not in names:
            raise Unreadable(f"no column {name!r} for {field}; the file has {', '.join(names)}")
    found = dict(given)
    plain = {name: re.sub(r"[^a-z]", "", name.lower().rpartition(".")[2]) for name in names}
    for field in (*FIELDS, *EVENTS) if events else FIELDS:
        if field not in found:
            matches = [n for a in _NAMES[field] for n in names if plain[n] == a and n not in found.values()]
            if field == "time":
                matches += [name for name in names if name == _PARQUET_INDEX or name == names[0] == ""]
            if matches:
                found[field] = matches[0]
    if missing := [field for field in ("time", *PRICES) if field not in found]:
        raise NoColumn(missing, names)
    return found

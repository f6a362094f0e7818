"""Which column is which: as given, and else by name, whatever its case and ticker ("AAPL.Adjusted")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finstage_barfile.errors import NoColumn, Unreadable
from finstage_market.columns import PRICES, VALUES

FIELDS = ("time", *VALUES, "adjusted_close", "symbol")
EVENTS = ("dividends", "splits", "capital_gains")

# What pandas calls the column of an index without a name; in CSV that is the first one, without a name.
_PARQUET_INDEX = "__index_level_0__"
# How it writes a name of two parts to Parquet.
_PAIR = re.compile(r"\('(.*)', '(.*)'\)")
# "1. open", and "Close.1", which is how pandas writes a second "Close".
_NUMBERED = re.compile(r"^\d{1,2}\.\s|\.\d+$")

# The first of them that a file has is taken.
_NAMES = {
    "time": ("date", "datetime", "timestamp", "opentime", "time", "day"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice", "closelast", "last", "price"),
    "volume": ("volume", "vol", "v"),
    "adjusted_close": ("adjclose", "adjustedclose", "adjusted", "closeadj", "closeadjusted"),
    "symbol": ("symbol", "ticker", "sym", "tic", "instrument", "security", "stock", "asset", "pair", "ric",
               "isin", "code", "name", "company"),
    "dividends": ("dividends",),
    "splits": ("stocksplits", "splits"),
    "capital_gains": ("capitalgains", "gains"),
}  # fmt: skip
_CLOCK = "time"
_WORDS = frozenset(word for words in _NAMES.values() for word in words)
_VALUE_WORDS = _WORDS - set(_NAMES["time"]) - set(_NAMES["symbol"])


@dataclass(frozen=True, slots=True)
class Found:
    """columns: the column of each field that has one.
    clock: a column of times of day that may belong to the dates of columns["time"]; is_joined: it does.
    is_given: the fields whose column was given.
    ticker: whose the prices are, where their names say it.
    """

    columns: Mapping[str, str]
    clock: str | None
    is_joined: bool
    ticker: str


def is_value(name: str) -> bool:
    """Whether a column of this name holds prices, volumes or events."""
    word, _ = _meaning(name)
    return word in _VALUE_WORDS or word.startswith("adj")


def find(names: Sequence[str], given: Mapping[str, str], *, ticker: str | None, events: bool) -> Found:
    """The columns of a table, which differ in their names.

    Args:
        given: columns by field, over what would be guessed; the time's may be two, DATE+TIME.
        ticker: whose prices are wanted, where the names tell of several.
        events: whether to look for EVENTS too.

    Raises:
        ValueError: `given` names a field that is not one of FIELDS.
        Unreadable: it names a column that is not there; several columns could be a field's, or are of other
            tickers. NoColumn: the time or a price has none.
    """
    found = dict(given)
    clock = _clock_of(found, names)
    for field, name in found.items():
        if field not in FIELDS:
            raise ValueError(f"{field!r} is not one of {', '.join(FIELDS)}")
        if name not in names:
            raise Unreadable(f"no column {name!r} for {field}; the file has {', '.join(filter(None, names))}")
    meanings = {name: _meaning(name) for name in names}
    owner = _owner(meanings, [price for price in PRICES if price not in found], ticker)
    fields = (*FIELDS, *EVENTS) if events else FIELDS
    for field in (field for field in fields if field not in found):
        taken = {*found.values(), clock}
        for word in _NAMES[field]:
            matches = [n for n in names if meanings[n][0] == word and n not in taken]
            own = [n for n in matches if meanings[n][1] == owner]
            if matches := own or [n for n in matches if not meanings[n][1]]:
                if len(matches) > 1:
                    told = " and ".join(map(repr, matches))
                    raise Unreadable(
                        f"columns {told} could each be {field}", settled_by="mapping", fields=[field]
                    )
                found[field] = matches[0]
                break
        if field == "time" and field not in found:
            unnamed = [n for n in names if n == _PARQUET_INDEX or n == names[0] == ""]
            found.update((field, name) for name in unnamed[:1])
    if missing := [field for field in ("time", *PRICES) if field not in found]:
        raise NoColumn(missing, names)
    is_joined = clock is not None
    if clock is None and "time" not in given:
        free = (n for n in names if n not in found.values() and meanings[n][0] == _CLOCK)
        clock = next(free, None)
    return Found(found, clock, is_joined, owner if owner and meanings[found["close"]][1] else "")


def _clock_of(found: dict[str, str], names: Sequence[str]) -> str | None:
    """The second column of a time that is given as two, which leaves the first one in `found`."""
    name = found.get("time", "")
    if name in names or "+" not in name:
        return None
    found["time"], _, clock = name.partition("+")
    if clock not in names:
        raise Unreadable(f"no column {clock!r} for time; the file has {', '.join(filter(None, names))}")
    return clock


def _owner(meanings: Mapping[str, tuple[str, str]], prices: Sequence[str], ticker: str | None) -> str:
    """The ticker whose columns of these prices are to be taken; none where their names tell of none.

    Raises:
        Unreadable: they tell of others than `ticker`, or of several where it is not given.
    """
    of: dict[str, set[str]] = {price: set() for price in prices}
    for word, owner in meanings.values():
        for price in prices:
            if word in _NAMES[price]:
                of[price].add(owner)
    owners = sorted(set().union(*of.values()) - {""})
    if not owners or all("" in each for each in of.values()):
        return ""
    wanted = [each for each in owners if ticker is None or each.casefold() == ticker.casefold()]
    if len(wanted) == 1:
        return wanted[0]
    told = f"its prices are those of {listed(owners)}"
    raise Unreadable(told if ticker is None else f"{told}, and not of {ticker}", settled_by="ticker")


def listed(tickers: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many there are more."""
    more = f" and {len(tickers) - most:,} more" if len(tickers) > most else ""
    return ", ".join(tickers[:most]) + more


def _meaning(name: str) -> tuple[str, str]:
    """What a column is by its name, and whose: ("close", "AAPL") for "AAPL.Close"; no word: unknown.

    "Adj. Open" is of no ticker, and nothing that is read.
    """
    if pair := _PAIR.fullmatch(name):
        first, second = pair.groups()
        name = f"{first}.{second}" if _plain(second) in _WORDS else f"{second}.{first}".lstrip(".")
    name = _NUMBERED.sub("", name)
    at = 0
    while True:
        word = _plain(name[at:])
        if word in _WORDS or word.startswith("adj"):
            return word, name[:at].rstrip(".")
        at = name.find(".", at) + 1
        if not at:
            return "", ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())

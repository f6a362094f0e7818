"""Which column is which: as given, and else by its name, whatever its case and ticker ("AAPL.Adjusted")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finstage_barfile import volumes
from finstage_barfile.errors import NoColumn, Unreadable, listed
from finstage_barfile.table import Guess
from finstage_market.columns import PRICES, VALUES

EVENTS = ("dividends", "splits", "capital_gains")
FIELDS = ("time", *VALUES, "adjusted_close", "symbol", *EVENTS)

# What pandas calls the column of an index without a name; in CSV that is the first one, without a name.
_PARQUET_INDEX = "__index_level_0__"
# How it writes a name of two parts to Parquet.
_PAIR = re.compile(r"\('(.*)', '(.*)'\)")
# "1. open", and "Close.1", which is how pandas writes a second "Close".
_NUMBERED = re.compile(r"^\d{1,2}\.\s|\.\d+$")
# A name with an explanation: "Close    Close price adjusted for splits." and "Volume (M)".
_EXPLAINED = re.compile(r"\s{2,}|\s*[(\[]")

# The first of them that a file has is taken. Epochs come first: they need no zone.
_NAMES = {
    "time": (
        "unix", "unixtime", "unixtimestamp", "epoch", "epochtime", "date", "datetime", "timestamp",
        "opentime", "gmttime", "timegmt", "dategmt", "datetimegmt", "utctime", "timeutc", "dateutc",
        "datetimeutc", "timestamputc", "utc", "gmt", "localtime", "time", "ts", "tsevent",
        "windowstart", "starttime", "timestart", "start", "startdate", "periodstart", "barstart",
        "bartime", "begin", "begins", "begintime", "opentimestamp", "epochms", "unixms",
        "timestampms", "timestampns", "timems", "timens", "tsms", "tsns", "opents", "timeopen",
        "timeperiodstart", "candletime", "candlebegintime", "tradedate", "tradingdate", "tradingday",
        "tradetime", "traddt", "date1", "businessdate", "sessiondate", "quotedate", "pricedate",
        "asofdate", "asof", "eventtime", "bucket", "moment", "dt", "t", "day", "week", "month",
        "period",
    ),
    "open": ("open", "o", "openprice", "opnpric", "priceopen", "openingprice", "first", "opening"),
    "high": ("high", "h", "highprice", "hghpric", "pricehigh", "max", "highest"),
    "low": ("low", "l", "lowprice", "lwpric", "pricelow", "min", "lowest"),
    "close": (
        "close", "c", "closeprice", "clspric", "priceclose", "closingprice", "closing", "closelast", "settle",
        "settlement", "settlementprice", "settleprice", "last", "lastprice", "lasttradedprice", "price",
    ),
    "adjusted_close": (
        "adjclose", "adjustedclose", "adjusted", "closeadj", "closeadjusted", "adjcloseprice",
        "adjustedcloseprice",
        "closepriceadjusted",
    ),
    "symbol": ("symbol", "ticker", "sym", "tic", "tckrsymb", "instrument", "security", "stock", "asset",
    "pair",
               "ric", "isin", "code", "name", "company"),
    "dividends": (
        "dividends", "dividend", "dividendamount", "divcash", "exdividend", "cashdividend",
        "cashdividends", "div",
        "dividendpershare",
    ),
    "splits": (
        "stocksplits", "stocksplit", "splits", "split", "splitratio", "splitfactor", "splitcoefficient",
        "splitcoeff", "sharesplit", "sharesplits",
    ),
    "capital_gains": ("capitalgains", "gains"),
}  # fmt: skip
_CLOCKS = ("time", "tradetime", "timeofday", "bartime", "timestamp", "hour")
# Of these the second is often there beside the first, and is the other thing.
_CHOICES = {
    "settle": "last",
    "settlement": "last",
    "settlementprice": "lastprice",
    "settleprice": "lastprice",
}
_WORDS = frozenset(word for words in _NAMES.values() for word in words) | volumes.WORDS
_VALUE_WORDS = _WORDS - set(_NAMES["time"]) - set(_NAMES["symbol"])
_UTC = re.compile(r"\b(?:utc|gmt)\b|_(?:utc|gmt)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """columns: the column of each field that has one.
    clock: a column of times of day that may belong to the dates of columns["time"]; is_joined: it does.
    ticker: whose the prices are, where their names say it.
    is_utc: whether the name of the time says that it is UTC.
    ticks: a column that counts ticks, for where columns["volume"] is 0 in every row.
    volume_scale: what one unit of the volume is worth.
    perhaps_volume: columns of unknown names that may be the volume, where there is no other.
    """

    columns: Mapping[str, str]
    clock: str | None
    is_joined: bool
    ticker: str
    is_utc: bool
    ticks: str | None
    volume_scale: float
    perhaps_volume: tuple[str, ...]
    guesses: tuple[Guess, ...]


def is_value(name: str) -> bool:
    """Whether a column of this name holds prices, volumes or events."""
    word, _ = _meaning(name)
    return word in _VALUE_WORDS or word.startswith("adj")


def names_prices(cells: Sequence[str]) -> bool:
    """Whether these are names of columns, and at least three of the prices are among them."""
    words = {_meaning(cell)[0] for cell in cells if cell}
    return sum(any(word in words for word in _NAMES[price]) for price in PRICES) >= 3


def find(
    names: Sequence[str], given: Mapping[str, str], *, ticker: str | None, no_volume: bool = False
) -> Found:
    """The columns of a table, whose names differ.

    Args:
        given: columns by field, over what would be guessed; the time's may be two, DATE+TIME.
        ticker: whose prices are wanted, where the names tell of several; and what is traded, where there are
            volumes of both sides of a pair.
        no_volume: whether to read no volume.

    Raises:
        ValueError: `given` names a field that is not one of FIELDS.
        Unreadable: it names a column that is not there; several columns could be one field's, or are of other
            tickers. NoColumn: the time or a price has none.
    """
    found = dict(given)
    clock = _clock_of(found, names)
    for field, name in found.items():
        if field not in FIELDS:
            raise ValueError(f"{field!r} is not one of {', '.join(FIELDS)}")
        if name not in names:
            raise Unreadable(f"no column {name!r} for {field}; the file has {listed(names)}")
    meanings = {name: _meaning(name) for name in names}
    owner = _owner(meanings, [price for price in PRICES if price not in found], ticker)
    guesses = []
    for field in (field for field in FIELDS if field not in found and field != "volume"):
        taken = {*found.values(), clock}
        for word in _NAMES[field]:
            if match := _of_word(word, field, {n: m for n, m in meanings.items() if n not in taken}, owner):
                found[field] = match
                others = [n for n in names if meanings[n][0].startswith("last") and n not in taken]
                if field == "close" and word.startswith("settle") and others:
                    guesses.append(
                        Guess(f"close was read from {match!r}, not {others[0]!r}", "column_names", (field,))
                    )
                break
        if field == "time" and field not in found:
            unnamed = [n for n in names if n == _PARQUET_INDEX or n == names[0] == ""]
            found.update((field, name) for name in unnamed[:1])
    if missing := [field for field in ("time", *PRICES) if field not in found]:
        raise NoColumn(missing, names)
    is_joined = clock is not None
    if clock is None and "time" not in given:
        free = (n for n in names if n not in found.values() and meanings[n][0] in _CLOCKS)
        clock = next(free, None)
    volume = volumes.Choice(None)
    if not no_volume:
        others = [n for n in names if n not in {*found.values(), clock} and meanings[n][1] in ("", owner)]
        volume = volumes.choose(others, {n: meanings[n][0] for n in names}, found.get("volume"), ticker)
    if volume.column is not None:
        found["volume"] = volume.column
    return Found(
        columns=found,
        clock=clock,
        is_joined=is_joined,
        ticker=owner if owner and meanings[found["close"]][1] else "",
        is_utc=_UTC.search(found["time"]) is not None,
        ticks=volume.ticks,
        volume_scale=volume.scale,
        perhaps_volume=volume.unknown,
        guesses=(*guesses, *volume.guesses),
    )


def _of_word(word: str, field: str, meanings: Mapping[str, tuple[str, str]], owner: str) -> str | None:
    """The column that the word names: one of the owner's, else one of nobody's."""
    matches = [name for name, meaning in meanings.items() if meaning[0] == word]
    own = [name for name in matches if meanings[name][1] == owner]
    matches = own or [name for name in matches if not meanings[name][1]]
    if len(matches) > 1:
        told = " and ".join(map(repr, matches))
        raise Unreadable(f"columns {told} could each be {field}", settled_by="column_names", fields=[field])
    return matches[0] if matches else None


def _clock_of(found: dict[str, str], names: Sequence[str]) -> str | None:
    """The second column of a time that is given as two, which leaves the first one in `found`."""
    name = found.get("time", "")
    if name in names or "+" not in name:
        return None
    found["time"], _, clock = name.partition("+")
    if clock not in names:
        raise Unreadable(f"no column {clock!r} for time; the file has {listed(names)}")
    return clock


def _owner(meanings: Mapping[str, tuple[str, str]], prices: Sequence[str], ticker: str | None) -> str:
    """The ticker whose columns of these prices are to be taken; empty where their names tell of none.

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
    told = f"its prices are those of {listed(owners, 5)}"
    raise Unreadable(told if ticker is None else f"{told}, and not of {ticker}", settled_by="ticker")


def _meaning(name: str) -> tuple[str, str]:
    """What a column is by its name, and whose: ("close", "AAPL") for "AAPL.Close"; no word: unknown.

    "Adj. Open" belongs to no ticker, and is not read.
    """
    if pair := _PAIR.fullmatch(name):
        first, second = pair.groups()
        name = f"{first}.{second}" if _word(second) else f"{second}.{first}".lstrip(".")
    name = _NUMBERED.sub("", name)
    at = 0
    while True:
        word = _word(name[at:])
        if word or plain(name[at:]).startswith("adj"):
            return word or plain(name[at:]), name[:at].rstrip(".")
        at = name.find(".", at) + 1
        if not at:
            return "", ""


def _word(name: str) -> str:
    """The known word that a name is, with or without its explanation; empty where no word is known."""
    for text in (name, _EXPLAINED.split(name.strip())[0]):
        if (word := plain(text)) in _WORDS:
            return word
    return ""


def plain(name: str) -> str:
    """A name's letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())

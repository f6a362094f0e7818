"""Which column is the volume: by its name, where that is known; by a part of it, where not; or else asked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finstage_barfile.errors import Unreadable
from finstage_barfile.table import Guess

# The first of them that a file has is taken.
_NAMES = (
    "volume", "vol", "v", "volumefrom", "basevolume", "volumebase", "totalvolume", "tradedvolume",
    "volumetraded",
    "tradevolume", "sharevolume", "volumeshares", "sharestraded", "noofshares", "numberofshares",
    "noofsharestraded",
    "tottrdqty", "ttltrdqnty", "ttltradgvol", "totaltradedquantity", "totaltradequantity", "totaltradedqty",
    "tradedqty", "tradedquantity", "tradequantity", "quantitytraded", "quantity", "qty", "shares",
    "contracts",
    "contractstraded", "stuecke", "stcke", "realvolume", "realvol",
)  # fmt: skip
_TICKS = ("tickvol", "tickvolume", "ticks", "volumeticks")
WORDS = frozenset((*_NAMES, *_TICKS))

# In a name that is not known: what may be a volume, and what is something else.
_MAY_BE = re.compile(r"vol(?!at)|qty|qnty|quantit|shares|contracts|lots|units|traded|amount|size")
_IS_OTHER = re.compile(
    r"adj|avg|average|mean|weighted|wap|deli|outstanding|interest|oi$|count|trades|number|noof|change|"
    r"chg|pct|percent|"
    r"ratio|value|val$|usd|quote|taker|notional|spread|split|div|prev|yield|sma|ema|rsi|vwap|float|"
    r"open|high|low|close|price|ltp|52w|date|time|id$|rtype|series|code|name|isin|currency|exchange|"
    r"direction|"
    r"mavg|^up$|^dn$|note|return|signal|bid|ask|last|settle|unix|ignore"
)
# Volumes of the two sides of a pair: "Volume BTC", "Volume USDT".
_OF_COIN = re.compile(r"vol(?:ume)?[ _(]+([A-Za-z0-9]{2,6})\)?", re.IGNORECASE)
_NO_COINS = frozenset(
    ("MA", "SMA", "EMA", "AVG", "MEAN", "OSC", "DELTA", "CHANGE", "CHG", "PCT", "RATIO", "INDEX")
)
_MONEY = frozenset(
    (
        "USD",
        "USDT",
        "USDC",
        "BUSD",
        "TUSD",
        "DAI",
        "EUR",
        "GBP",
        "JPY",
        "KRW",
        "AUD",
        "CAD",
        "CHF",
        "TRY",
        "BRL",
    )
)
_UNIT = re.compile(
    r"[(\[]\s*(?:in )?['’]?([A-Za-z0-9]+)\.?\s*[)\]]|\b(?:in )(thousands|millions|billions|lakhs?)\b"
)
_SCALES = {
    "k": 1e3, "000": 1e3, "000s": 1e3, "1000": 1e3, "1000s": 1e3, "thousand": 1e3, "thousands": 1e3, "th":
    1e3,
    "lakh": 1e5, "lakhs": 1e5, "lac": 1e5, "lacs": 1e5, "m": 1e6, "mn": 1e6, "mio": 1e6, "mm": 1e6, "mln":
    1e6,
    "mil": 1e6, "million": 1e6, "millions": 1e6, "cr": 1e7, "crore": 1e7, "crores": 1e7, "b": 1e9, "bn": 1e9,
    "bln": 1e9, "billion": 1e9, "billions": 1e9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """column: that of the volume. ticks: that of ticks beside it. scale: what one unit of it is worth.

    unknown: columns that may be it if they hold numbers, where there is no other.
    """

    column: str | None
    ticks: str | None = None
    scale: float = 1.0
    guesses: tuple[Guess, ...] = ()
    unknown: tuple[str, ...] = ()


def choose(names: Sequence[str], words: Mapping[str, str], given: str | None, ticker: str | None) -> Choice:
    """The column of the volume.

    Args:
        names: the columns that nothing else is read from.
        words: what each column is by its name, where that is known.
        given: the column that is said to be the volume.
        ticker: what is traded, such as BTC-USD.

    Raises:
        Unreadable: there is none of a known name, and several could be it.
    """
    if given is not None:
        return Choice(given)
    for word in _NAMES:
        matches = [name for name in names if words[name] == word]
        if len(matches) > 1:
            coins = [name for name in matches if _OF_COIN.fullmatch(name.strip())]
            if len(coins) < len(matches):
                raise doubt(matches)
            return _of_coin(matches, ticker)
        if matches:
            ticks = next((name for name in names if words[name] in _TICKS), None)
            return _scaled(matches[0], ticks)
    coins = [name for name in names if _coin(name) not in ("", *_NO_COINS)]
    if coins:
        return _of_coin(coins, ticker)
    if counts := [name for name in names if words[name] in _TICKS]:
        return Choice(counts[0], guesses=(_read_from(counts[0], "which counts ticks"),))
    unknown = [name for name in names if name and not words[name]]
    others = [name for name in unknown if _IS_OTHER.search(_plain(name))]
    likely = [name for name in unknown if name not in others and _MAY_BE.search(_plain(name))]
    if len(likely) == 1:
        made = _scaled(likely[0], None)
        return Choice(likely[0], None, made.scale, made.guesses or (_read_from(likely[0], "by its name"),))
    if likely:
        raise doubt(likely)
    perhaps = tuple(name for name in unknown if name not in others or _MAY_BE.search(_plain(name)))
    return Choice(None, guesses=(Guess("it has no volume, so 0 is written", "no_volume"),), unknown=perhaps)


def _of_coin(names: Sequence[str], ticker: str | None) -> Choice:
    """Choose between the volumes of the two sides of a currency pair: that of the base."""
    coins = {name: _coin(name) for name in names}
    scaled = [name for name, coin in coins.items() if coin.lower() in _SCALES]
    if len(names) == 1:
        return (
            _scaled(names[0], None)
            if scaled
            else Choice(names[0], guesses=(_read_from(names[0], "by its name"),))
        )
    wanted = [name for name, coin in coins.items() if ticker and ticker.upper().startswith(coin)]
    wanted = wanted if len(wanted) == 1 else [name for name, coin in coins.items() if coin not in _MONEY]
    if len(wanted) != 1:
        raise doubt(names)
    other = next(name for name in names if name != wanted[0])
    return Choice(wanted[0], guesses=(_read_from(wanted[0], f"not {other!r}"),))


def _coin(name: str) -> str:
    found = _OF_COIN.fullmatch(name.strip())
    return found[1].upper() if found else ""


def _scaled(name: str, ticks: str | None) -> Choice:
    found = _UNIT.search(name)
    unit = ((found[1] or found[2]) if found else "").lower()
    scale = _SCALES.get(unit)
    if scale is None:
        return Choice(name, ticks, guesses=(_read_from(name, "in its own unit"),) if unit else ())
    return Choice(name, ticks, scale, (_read_from(name, f"in units of {scale:,.0f}"),))


def _read_from(name: str, why: str) -> Guess:
    return Guess(f"volume was read from {name!r}, {why}", "column_names", ("volume",))


def doubt(names: Sequence[str]) -> Unreadable:
    """The error that any of these columns could be the volume."""
    told = " or ".join(map(repr, names[:5])) + (" or another" if len(names) > 5 else "")
    return Unreadable(
        f"it does not tell the volume, which could be {told}", settled_by="column_names", fields=["volume"]
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())

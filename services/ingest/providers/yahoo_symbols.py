"""Symbols of the chart API: which are one instrument's, and what kinds of instruments there are."""

import re

from finstage_market.symbol import parse_symbol
from services.ingest.upstream.outcomes import Failure, Outcome

# Yahoo's kinds of instruments, and the contract's names.
INSTRUMENT_TYPES = {
    "EQUITY": "EQUITY",
    "ETF": "ETF",
    "INDEX": "INDEX",
    "FUTURE": "FUTURE",
    "FUTURES": "FUTURE",
    "CURRENCY": "CURRENCY",
    "CRYPTOCURRENCY": "CRYPTOCURRENCY",
    "MUTUALFUND": "FUND",
}
# A rate against the dollar has two names: USDEUR=X and EUR=X.
_PER_DOLLAR = re.compile(r"USD([A-Z]{3}=X)")
_SEPARATORS = re.compile(r"[^A-Z0-9=^]")


def is_symbol(text: str) -> bool:
    """Whether `text` is a symbol in its one form."""
    try:
        return parse_symbol(text) == text
    except ValueError:
        return False


def same_instrument(asked: str, sent: str) -> bool:
    """Whether a reply for `sent` answers a request for `asked`: both name one instrument."""
    return asked == sent or _plain(asked) == _plain(sent)


def not_asked_for(asked: str, sent: str) -> Failure | None:
    """The failure of a reply for another instrument than was asked for; None: it is the one, or unnamed."""
    if not sent or same_instrument(asked, sent):
        return None
    return Failure(Outcome.NOT_FOUND, f"asked for {asked}, it sent {sent}", instead=sent)


def _plain(symbol: str) -> str:
    """A symbol without what providers write in two ways: USDEUR=X, BRK.B and BRK-B."""
    symbol = symbol.upper()
    if (pair := _PER_DOLLAR.fullmatch(symbol)) and pair[1] != "USD=X":
        symbol = pair[1]
    return _SEPARATORS.sub("-", symbol)

"""The currency of a file's prices, where a column names it: one series has one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from finstage_barfile.column_names import plain
from finstage_barfile.errors import Unreadable, listed
from finstage_barfile.numbers import NOTHING
from finstage_barfile.table import Piece

_NAMES = ("currency", "ccy", "curr", "currencycode", "pricecurrency", "tradingcurrency", "quotecurrency")


@dataclass(slots=True)
class Currencies:
    """What a column of currencies holds, by ticker in lower case; GBp and GBP are two."""

    column: str
    _of: dict[str, list[str]] = field(default_factory=dict)

    def see(self, piece: Piece, tickers: str | None) -> None:
        """Take in some rows; `tickers` is the column of tickers, if there is one."""
        cells = piece.text(self.column).str.strip()
        says = ~(cells.isna() | cells.isin(NOTHING)).to_numpy()
        found = cells[says].tolist()
        owners = [""] * len(found)
        if tickers is not None:
            owners = piece.text(tickers).fillna("").str.casefold()[says].tolist()
        pairs = dict.fromkeys(zip(owners, found, strict=True))
        for owner, currency in pairs:
            seen = self._of.setdefault(owner, [])
            if currency not in seen:
                seen.append(currency)

    def check(self, ticker: str | None) -> None:
        """Check that the rows of the ticker, of all where it is None, have one currency.

        Raises:
            Unreadable: they have several.
        """
        seen = {
            currency: None
            for owner, each in self._of.items()
            if ticker is None or owner == ticker.casefold()
            for currency in each
        }
        if len(seen) > 1:
            told = listed(list(map(repr, seen)), 5)
            raise Unreadable(f"column {self.column!r} holds {told}: its prices are not all in one currency")


def of(names: Sequence[str], taken: Sequence[str]) -> Currencies | None:
    """The column of currencies among those that nothing is read from, if there is one."""
    found = next((name for name in names if name not in taken and plain(name) in _NAMES), None)
    return None if found is None else Currencies(found)

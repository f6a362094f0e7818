"""Which symbol each row belongs to, where a file has the bars of several."""

from collections import Counter
from dataclasses import dataclass, field

from finstage_barfile.column_names import plain
from finstage_barfile.errors import Unreadable, listed
from finstage_barfile.table import Mask, Piece


@dataclass(slots=True)
class Tickers:
    """The tickers of a column, and how many rows each has."""

    column: str
    _rows: Counter[str] = field(default_factory=Counter)

    def see(self, piece: Piece) -> None:
        """Count the rows of each ticker in a piece."""
        counts = piece.text(self.column).fillna("").value_counts(sort=False)
        self._rows.update({str(ticker): int(count) for ticker, count in counts.items()})

    def chosen(self, wanted: str | None, *, is_given: bool) -> str | None:
        """The ticker whose rows to take; None: the column has no tickers; take all rows.

        A column named like tickers that has one name of several words is taken for a company's name.

        Args:
            wanted: the ticker, in upper or lower case. None: the only one.
            is_given: whether the column is known to hold tickers.

        Raises:
            Unreadable: there are several tickers and `wanted` is None, or none of them is `wanted`.
        """
        tickers = [ticker for ticker in self._rows if ticker]
        if not tickers:
            return None
        # Some files have the company's name in this column; CoinMarketCap's have the currency's number.
        is_name = " " in tickers[0] or (plain(self.column) == "name" and tickers[0].isdigit())
        if len(self._rows) == 1 and not is_given and is_name:
            return None
        same = tickers if wanted is None else [t for t in tickers if t.casefold() == wanted.casefold()]
        if not same or (wanted is None and len(self._rows) > 1):
            told = f"column {self.column!r} holds {listed(list(map(repr, tickers)), 5)}"
            raise Unreadable(told if wanted is None else f"{told}, and not {wanted}", settled_by="ticker")
        return same[0]

    def others(self, ticker: str) -> dict[str, int]:
        """The rows of the other tickers."""
        return {each: count for each, count in self._rows.items() if each.casefold() != ticker.casefold()}

    def rows_of(self, piece: Piece, ticker: str) -> Mask:
        """The rows of some that are the ticker's."""
        text = piece.text(self.column)
        return (text.str.casefold() == ticker.casefold()).fillna(False).to_numpy(dtype=bool)

"""Whose bars a row is: the column that says it, where a file holds those of several."""

from finstage_barfile.errors import Unreadable
from finstage_barfile.mapping import listed
from finstage_barfile.table import Table


def only(
    table: Table, column: str, wanted: str | None, *, is_given: bool
) -> tuple[Table, str | None, dict[str, int]]:
    """The rows of one ticker, which ticker that is, and how many rows of others there are.

    A column that only looks as if it held tickers, and holds one name of several words, is left alone.

    Args:
        wanted: the ticker, in upper or lower case. None: the only one.
        is_given: whether the column is known to hold tickers.

    Raises:
        Unreadable: there are several, and none is wanted; or none is the one that is wanted.
    """
    text = table.text(column).fillna("")
    counts = {str(ticker): int(count) for ticker, count in text.value_counts(sort=False).items()}
    tickers = [ticker for ticker in counts if ticker]
    if not tickers or (len(counts) == 1 and not is_given and " " in tickers[0]):
        return table, None, {}
    same = tickers if wanted is None else [t for t in tickers if t.casefold() == wanted.casefold()]
    if not same or (wanted is None and len(counts) > 1):
        told = f"column {column!r} holds {listed(list(map(repr, tickers)))}"
        raise Unreadable(told if wanted is None else f"{told}, and not {wanted}", settled_by="ticker")
    others = {ticker: count for ticker, count in counts.items() if ticker not in same}
    return table.only(text.isin(same).to_numpy()) if others else table, same[0], others

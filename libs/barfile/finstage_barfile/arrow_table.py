"""The table of a Parquet or an Arrow file (Feather), read in pieces."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Self

import numpy as np
import pandas as pd

from finstage_barfile import numbers
from finstage_barfile.errors import Unreadable
from finstage_barfile.table import MAX_PIECE_ROWS, Cells, Guess, Mask, Numbers, RefusedRow, Text
from finstage_market.columns import Int64s

PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
# A buffer for each column, so that a large group of rows is not read at once.
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class ArrowPiece:
    """A batch of rows."""

    rows: Int64s
    _batch: Any
    refused: tuple[RefusedRow, ...] = ()

    def only(self, wanted: Mask) -> Self:
        import pyarrow as pa

        return replace(self, rows=self.rows[wanted], _batch=self._batch.filter(pa.array(wanted)))

    def cut(self, columns: Collection[str]) -> dict[int, tuple[str, str]]:
        return {}

    def times(self, name: str) -> Cells:
        import pyarrow as pa

        with _told():
            column = self._column(name)
            kind = column.type
            if pa.types.is_timestamp(kind):
                cells = pd.Series(column.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False))
                return cells if kind.tz is None else cells.dt.tz_localize("UTC").dt.tz_convert(kind.tz)
            if pa.types.is_date(kind):
                return pd.Series(column.cast(pa.timestamp("ms")).to_numpy(zero_copy_only=False))
            if pa.types.is_integer(kind):
                return pd.Series(column.cast(pa.int64()).to_pandas(integer_object_nulls=True), dtype="Int64")
            if pa.types.is_floating(kind):
                return pd.Series(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
            if _is_text(kind):
                return _text(column)
        raise Unreadable(f"column {name!r} holds {kind}, which is not a time")

    def numbers(self, name: str) -> Numbers:
        import pyarrow as pa

        with _told():
            column = self._column(name)
            kind = column.type
            if pa.types.is_decimal(kind):
                # Arrow's own way to doubles does not round to the nearest.
                return numbers.plain(_text(column.cast(pa.string())))  # type: ignore[return-value]
            if _is_text(kind):
                return _text(column)
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
                return np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        raise Unreadable(f"column {name!r} holds {kind}, which is not a number")

    def text(self, name: str) -> Text:
        import pyarrow as pa

        with _told():
            return _text(self._column(name).cast(pa.string()))

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        # A column of that name may have others inside it.
        column = self._batch.column(self._batch.schema.names.index(name))
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


class ArrowTable:
    """Columns with types."""

    row_name = "row"
    usual_decimal: str | None = "."
    notes: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    price_scale: float | None = 1.0

    def __init__(self, file: IO[bytes]) -> None:
        """The table of a file.

        Raises:
            Unreadable: it is damaged, or pyarrow is missing.
        """
        try:
            import pyarrow  # noqa: F401  # an extra: most files are CSV
        except ImportError:
            raise Unreadable(
                "Parquet and Arrow are read by: pip install pyarrow, or finstage-barfile[parquet]"
            ) from None
        with _told():
            self.names, self._batches = _opened(file)

    def pieces(self) -> Iterator[ArrowPiece]:
        first = 1
        with _told():
            for batch in self._batches():
                for start in range(0, batch.num_rows, MAX_PIECE_ROWS):
                    some = batch.slice(start, MAX_PIECE_ROWS)
                    rows = np.arange(first, first + some.num_rows, dtype=np.int64)
                    first += some.num_rows
                    yield ArrowPiece(rows, some)


def _opened(file: IO[bytes]) -> tuple[tuple[str, ...], Callable[[], Iterator[Any]]]:
    """The columns of a file, and what reads its batches from the first."""
    from pyarrow import ipc, parquet

    file.seek(0)
    begins = file.read(len(ARROW_FILE))
    file.seek(0)
    if begins.startswith(PARQUET):
        opened = parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        return tuple(opened.schema_arrow.names), lambda: opened.iter_batches(MAX_PIECE_ROWS)
    if begins == ARROW_FILE:
        arrow = ipc.open_file(file)
        return tuple(arrow.schema.names), lambda: map(arrow.get_batch, range(arrow.num_record_batches))

    def stream() -> Any:
        file.seek(0)
        return ipc.open_stream(file)

    return tuple(stream().schema.names), lambda: iter(stream())


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text(column: Any) -> Text:
    """The column's text, NaN where there is none or it says nothing."""
    text = pd.Series(column.to_pandas(), dtype="str").str.strip()
    return text.mask(text.isin(numbers.NOTHING))


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is raised for a file that is no Parquet, or a broken one, into Unreadable."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise Unreadable(f"it is not a whole Parquet or Arrow file: {error}") from None

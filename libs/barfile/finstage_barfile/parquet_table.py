"""The table of a Parquet file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Self

import numpy as np
import pandas as pd

from finstage_barfile import numbers
from finstage_barfile.errors import Unreadable
from finstage_barfile.table import Cells, Mask, Numbers, RefusedRow, Text
from finstage_market.columns import Int64s

MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True, eq=False)
class ParquetTable:
    """Columns that are read when they are asked for, while the file is open."""

    names: tuple[str, ...]
    rows: Int64s
    _file: Any
    row_name: str = "row"
    refused: tuple[RefusedRow, ...] = ()
    usual_decimal: str | None = "."
    _wanted: Mask | None = None

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """The table of a file.

        Raises:
            Unreadable: it is no Parquet, or pyarrow is missing.
        """
        try:
            from pyarrow import parquet  # an extra: most files are CSV
        except ImportError:
            raise Unreadable(
                "Parquet is read by pyarrow: pip install pyarrow, or finstage[parquet]"
            ) from None
        with _told():
            opened = parquet.ParquetFile(file)
            return cls(
                tuple(opened.schema_arrow.names),
                np.arange(1, opened.metadata.num_rows + 1, dtype=np.int64),
                opened,
            )

    def only(self, wanted: Mask) -> Self:
        return replace(self, rows=self.rows[wanted], _wanted=wanted)

    def times(self, name: str) -> Cells:
        import pyarrow as pa

        with _told():
            column = self._column(name)
            kind = column.type
            if pa.types.is_timestamp(kind):
                cells = pd.Series(column.to_numpy())
                return cells if kind.tz is None else cells.dt.tz_localize("UTC")
            if pa.types.is_date(kind):
                return pd.Series(column.cast(pa.timestamp("ms")).to_numpy())
            if pa.types.is_integer(kind):
                return pd.Series(column.cast(pa.int64()).to_pandas(integer_object_nulls=True), dtype="Int64")
            if pa.types.is_floating(kind):
                return pd.Series(column.cast(pa.float64()).to_numpy())
            if _is_text(kind):
                return _text(column)
        raise Unreadable(f"column {name!r} holds {kind}, which is no time")

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
                return np.array(column.cast(pa.float64(), safe=False).to_numpy())
        raise Unreadable(f"column {name!r} holds {kind}, which is no number")

    def text(self, name: str) -> Text:
        import pyarrow as pa

        with _told():
            return _text(self._column(name).cast(pa.string()))

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        table = self._file.read(columns=[name])
        # A column of that name may have others inside it.
        column = table.column(table.schema.names.index(name))
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column if self._wanted is None else column.filter(pa.array(self._wanted))


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
        raise Unreadable(f"it is no whole Parquet: {error}") from None

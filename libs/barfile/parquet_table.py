"""The table of a Parquet file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np
import pandas as pd

from libs.barfile.errors import Unreadable
from libs.barfile.numbers import NOTHING, numbers
from libs.barfile.table import Cells, RefusedRow, Texts
from libs.market.columns import Float64s, Int64s

MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True, eq=False)
class ParquetTable:
    """Columns that are read when they are asked for, while the file is open."""

    names: tuple[str, ...]
    rows: Int64s
    _file: Any
    row_name: str = "row"
    refused: tuple[RefusedRow, ...] = ()

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
                return pd.Series(_texts(column), dtype="str").str.strip()
        raise Unreadable(f"column {name!r} holds {kind}, which is no time")

    def numbers(self, name: str, *, empty: float = np.nan) -> Float64s:
        import pyarrow as pa

        with _told():
            column = self._column(name)
            kind = column.type
            if pa.types.is_decimal(kind):
                column = column.cast(pa.string())  # Arrow's own way to doubles does not round to the nearest
            if _is_text(column.type):
                texts = _texts(column)
                values = numbers(texts, thousands=False)
                missing = pd.isna(texts)
            elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
                values = np.array(column.cast(pa.float64(), safe=False).to_numpy())
                missing = np.isnan(values)
            else:
                raise Unreadable(f"column {name!r} holds {kind}, which is no number")
        values[missing] = empty
        return values

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        table = self._file.read(columns=[name])
        # A column of that name may have others inside it.
        column = table.column(table.schema.names.index(name))
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(column: Any) -> Texts:
    """The column's text, NaN where there is none or it says nothing."""
    texts = pd.Series(column.to_pandas(), dtype="str")
    return texts.mask(texts.isin(NOTHING)).to_numpy(dtype=np.object_)


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is raised for a file that is no Parquet, or a broken one, into Unreadable."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise Unreadable(f"it is no whole Parquet: {error}") from None

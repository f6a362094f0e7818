"""The table of a CSV file."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal, Self, cast

import numpy as np
import pandas as pd

from libs.barfile.errors import Unreadable
from libs.barfile.numbers import NOTHING, numbers
from libs.barfile.table import Cells
from libs.market.columns import Float64s, Int64s

_GZIP = b"\x1f\x8b"
_SEPARATORS = ",;\t|"
# A longer line is no header; it is some other kind of file.
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class CsvTable:
    """A header and lines of cells. thousands: whether 1,234 is a number: between other separators it may well
    be 1.234.
    """

    names: tuple[str, ...]
    rows: Int64s
    thousands: bool
    _cells: pd.DataFrame
    row_name: str = "line"

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """The table of a file, UTF-8, also compressed by gzip; separated by commas, semicolons, tabs or bars.

        Raises:
            Unreadable: it is not UTF-8, has no header, or has a line of more cells than the header.
        """
        compression: Literal["gzip"] | None = "gzip" if file.read(2) == _GZIP else None
        file.seek(0)
        with _told():
            before, header, first = _beginning(file, compressed=compression is not None)
            separator = max(_SEPARATORS, key=header.count)
            names, cells = (_split(line, separator) for line in (header, first))
            width = max(len(names), len(cells))
            file.seek(0)
            table = pd.read_csv(
                file,
                sep=separator,
                encoding="utf-8-sig",
                compression=compression,
                skiprows=before,
                header=0,
                names=list(range(width)),
                dtype="str",
                index_col=False,
                keep_default_na=False,
                na_values=list(NOTHING),
                skip_blank_lines=False,  # so that a row's place is its line
                skipinitialspace=True,
            ).dropna(how="all")
        rows = table.index.to_numpy(dtype=np.int64) + before + 2
        # A separator at the end of each line is usual; a value after it belongs to no column.
        if (over := table.iloc[:, len(names) :].notna().any(axis=1).to_numpy()).any():
            raise Unreadable(f"line {rows[over][0]} has more cells than the header, which has {len(names)}")
        return cls(tuple(names), rows, separator == ",", table)

    def times(self, name: str) -> Cells:
        return cast("Cells", self._column(name).str.strip())

    def numbers(self, name: str, *, empty: float = np.nan) -> Float64s:
        cells = self._column(name)
        values = numbers(cells.to_numpy(dtype=np.object_), thousands=self.thousands)
        values[cells.isna().to_numpy()] = empty
        return values

    def _column(self, name: str) -> Cells:
        return self._cells.iloc[:, self.names.index(name)]


def _beginning(file: IO[bytes], *, compressed: bool) -> tuple[int, str, str]:
    """The number of blank lines before the header, the header, and the first line with cells after it."""
    lines = _lines(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if compressed else file)
    before, header = next(((at, line) for at, line in enumerate(lines) if line.strip()), (0, ""))
    if not header:
        raise Unreadable("it is empty")
    return before, header, next((line for line in lines if line.strip()), "")


def _lines(file: IO[bytes]) -> Iterator[str]:
    encoding = "utf-8-sig"
    while line := file.readline(_LONGEST_LINE):
        # A file of lines that end in a carriage return alone is one line here.
        yield from line.decode(encoding).splitlines()
        encoding = "utf-8"


def _split(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is raised for a file that is no CSV into Unreadable."""
    try:
        yield
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8 text") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(f"it is compressed, and damaged: {error}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise Unreadable(str(error).removeprefix("Error tokenizing data. C error: ")) from None

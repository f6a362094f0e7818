"""The table of a CSV file."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Self, cast

import numpy as np
import pandas as pd

from libs.barfile.errors import Unreadable
from libs.barfile.numbers import NOTHING, numbers
from libs.barfile.table import Cells, RefusedRow
from libs.market.columns import Float64s, Int64s

_GZIP = b"\x1f\x8b"
_SEPARATORS = ",;\t|"
# A longer line is no header; it is some other kind of file.
_LONGEST_LINE = 1 << 20
# Of a line that is refused so many characters are kept.
_SHOWN = 200


@dataclass(frozen=True, slots=True, eq=False)
class CsvTable:
    """A header and lines of cells. thousands: whether 1,234 is a number: between other separators it may well
    be 1.234. refused: the lines that have more cells than the header.
    """

    names: tuple[str, ...]
    rows: Int64s
    refused: tuple[RefusedRow, ...]
    thousands: bool
    _cells: pd.DataFrame
    row_name: str = "line"

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """The table of a file, UTF-8, also compressed by gzip; separated by commas, semicolons, tabs or bars.

        Raises:
            Unreadable: it is not UTF-8, has no header, or each of its lines has more cells than that.
        """
        compressed = file.read(2) == _GZIP
        file.seek(0)
        with _told():
            before, header, first = _beginning(file, compressed=compressed)
            separator = max(_SEPARATORS, key=header.count)
            names, cells = (_split(line, separator) for line in (header, first))
            file.seek(0)
            refused: tuple[RefusedRow, ...] = ()
            try:
                # A separator at the end of each line is usual; a value after it belongs to no column.
                width = max(len(names), len(cells))
                table = _parsed(file, separator, before, width, compressed=compressed)
                odd = bool(table.iloc[:, len(names) :].notna().any(axis=None))
            except pd.errors.ParserError:
                odd = True
            if odd:
                file.seek(0)
                data = gzip.decompress(file.read()) if compressed else file.read()
                data, refused = _without_long(data, separator, before, len(names))
                table = _parsed(io.BytesIO(data), separator, before, len(names), compressed=False)
        if refused and not len(table):
            raise Unreadable(f"line {refused[0].row} has {refused[0].reason}")
        rows = table.index.to_numpy(dtype=np.int64) + before + 2
        return cls(tuple(names), rows, refused, separator == ",", table)

    def times(self, name: str) -> Cells:
        return cast("Cells", self._column(name).str.strip())

    def numbers(self, name: str, *, empty: float = np.nan) -> Float64s:
        cells = self._column(name)
        values = numbers(cells.to_numpy(dtype=np.object_), thousands=self.thousands)
        values[cells.isna().to_numpy()] = empty
        return values

    def _column(self, name: str) -> Cells:
        return self._cells.iloc[:, self.names.index(name)]


def _parsed(file: IO[bytes], separator: str, before: int, width: int, *, compressed: bool) -> pd.DataFrame:
    """The lines after the header that are not blank, `width` cells each, numbered from 0."""
    return pd.read_csv(
        file,
        sep=separator,
        encoding="utf-8-sig",
        compression="gzip" if compressed else None,
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


def _without_long(
    data: bytes, separator: str, before: int, width: int
) -> tuple[bytes, tuple[RefusedRow, ...]]:
    """The file with at most `width` cells in a line: lines that have more are told, and blank."""
    lines, refused = data.splitlines(), []
    mark = separator.encode()
    for at, line in enumerate(lines):
        if at <= before or line.count(mark) < width:
            continue
        text = line.decode()
        cells = _split(text, separator)
        count = max((place for place, cell in enumerate(cells, 1) if cell not in NOTHING), default=0)
        lines[at] = b""
        if count > width:
            reason = f"{count} cells, and the header has {width}"
            refused.append(RefusedRow(at + 1, "cells", text[:_SHOWN], reason))
        else:
            out = io.StringIO()
            csv.writer(out, delimiter=separator, lineterminator="").writerow(cells[:width])
            lines[at] = out.getvalue().encode()
    return b"\n".join(lines), tuple(refused)


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

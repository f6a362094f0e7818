"""The table of a CSV file."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Self, cast

import numpy as np
import pandas as pd

from finstage_barfile import headers
from finstage_barfile.errors import Unreadable
from finstage_barfile.numbers import NOTHING
from finstage_barfile.table import Cells, Mask, RefusedRow, Text
from finstage_market.columns import Int64s

_GZIP = b"\x1f\x8b"
_SEPARATORS = ",;\t|"
# The header is at the file's beginning; what has it further on is some other kind of file.
_BEGINNING = 1 << 20
# Of a line that is refused so many characters are kept.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Header:
    """names: of the columns. width: the cells of the first line after it, where those are more.
    records, lines: where the last row of the header is, from 0, and the lines up to its end.
    """

    names: tuple[str, ...]
    width: int
    separator: str
    records: int
    lines: int


@dataclass(frozen=True, slots=True, eq=False)
class CsvTable:
    """A header and lines of cells. refused: the lines that have more cells than the header."""

    names: tuple[str, ...]
    rows: Int64s
    refused: tuple[RefusedRow, ...]
    usual_decimal: str | None
    _cells: pd.DataFrame
    row_name: str = "line"

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """The table of a file, UTF-8, also compressed by gzip; separated by commas, semicolons, tabs or bars.

        Raises:
            Unreadable: it is not UTF-8, has no header, or each of its lines has more cells than that.
        """
        with _told():
            data = file.read()
            if data.startswith(_GZIP):
                data = gzip.decompress(data)
            header = _header(data)
            cells, rows, refused = _quickly(data, header) or _by_record(data, header)
        if refused and not len(rows):
            raise Unreadable(f"line {refused[0].row} has {refused[0].reason}")
        # Where commas are decimal signs, semicolons separate; with dots too, it is another way to write CSV.
        usual = None if header.separator == ";" else "."
        return cls(header.names, rows, refused, usual, cells)

    def only(self, wanted: Mask) -> Self:
        return replace(self, rows=self.rows[wanted], _cells=self._cells[wanted])

    def times(self, name: str) -> Cells:
        return self.text(name)

    def numbers(self, name: str) -> Text:
        return cast("Text", self._cells.iloc[:, self.names.index(name)])

    def text(self, name: str) -> Text:
        return self.numbers(name).str.strip()


_Rows = tuple[pd.DataFrame, Int64s, tuple[RefusedRow, ...]]


def _quickly(data: bytes, header: _Header) -> _Rows | None:
    """The cells of all lines that are not blank, and their lines. None: they must be read one by one."""
    width = max(len(header.names), header.width)
    try:
        cells = pd.read_csv(
            io.BytesIO(data),
            sep=header.separator,
            encoding="utf-8-sig",
            skiprows=header.records,
            header=0,
            names=list(range(width)),
            dtype="str",
            index_col=False,
            keep_default_na=False,
            na_values=list(NOTHING),
            skip_blank_lines=False,  # so that a row's place is its line
            skipinitialspace=True,
        )
    except pd.errors.ParserError as error:
        if "EOF inside string" in str(error):
            raise
        return None
    # A separator at the end of each line is usual; a value after it belongs to no column.
    if cells.iloc[:, len(header.names) :].notna().any(axis=None):
        return None
    if b'"' in data and len(cells) != _count_lines(data) - header.lines:
        return None  # some cells have line breaks in them
    cells = cells.dropna(how="all")
    return cells, cells.index.to_numpy(dtype=np.int64) + header.lines + 1, ()


def _count_lines(data: bytes) -> int:
    end = b"\n" if b"\n" in data else b"\r"
    return data.count(end) + (not data.endswith(end))


def _by_record(data: bytes, header: _Header) -> _Rows:
    """The same, slowly: lines that have more cells than the header are told, and left out."""
    width, kept, rows, refused = len(header.names), [], [], []
    reader = _reader(data.decode("utf-8-sig"), header.separator, strict=True)
    end = 0
    for cells in reader:
        line, end = end + 1, reader.line_num
        if end <= header.lines:
            continue
        while len(cells) > width and cells[-1].strip() in NOTHING:
            cells.pop()
        if len(cells) > width:
            text = header.separator.join(cells)[:_SHOWN]
            reason = f"{len(cells)} cells, and the header has {width}"
            refused.append(RefusedRow(line, "cells", text, reason))
        else:
            kept.append(cells + [""] * (width - len(cells)))
            rows.append(line)
    frame = pd.DataFrame(kept, columns=range(width), dtype="str")
    frame = frame.mask(frame.isin(NOTHING)).dropna(how="all")
    return frame, np.array(rows, dtype=np.int64)[frame.index], tuple(refused)


def _header(data: bytes) -> _Header:
    text = data[:_BEGINNING].decode("utf-8-sig", errors="replace")
    separator = max(_SEPARATORS, key=text.lstrip().partition("\n")[0].count)
    reader = _reader(text, separator)
    places, records = [], []
    for at, cells in enumerate(reader):
        if any(cells := [cell.strip() for cell in cells]):
            places.append((at, reader.line_num))
            records.append(cells)
        if len(records) > headers.ROWS:
            break
    if not records:
        raise Unreadable("it is empty")
    count, names = headers.names_of(records)
    width = len(records[count]) if len(records) > count else 0
    return _Header(tuple(names), width, separator, *places[count - 1])


def _reader(text: str, separator: str, *, strict: bool = False) -> Any:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)


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

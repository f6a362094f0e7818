"""The table of a CSV file, read in pieces."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Self, cast

import numpy as np
import pandas as pd

from finstage_barfile import headers
from finstage_barfile.column_names import is_value, names_prices
from finstage_barfile.errors import Unreadable
from finstage_barfile.headers import Header
from finstage_barfile.numbers import NOTHING
from finstage_barfile.table import MAX_PIECE_ROWS, Cells, Mask, RefusedRow, Text
from finstage_market.columns import Int64s

# The first of them that gives a header; else the first that stands in each of the first lines.
_SEPARATORS = "\t;|,"
# The header is at the file's beginning; a file that has it further on is of some other kind.
_BEGINNING = 1 << 20
# So many characters of a refused line are kept.
_SHOWN = 200


@dataclass(frozen=True, slots=True, eq=False)
class CsvPiece:
    """Some lines of cells, by the names of their columns."""

    names: tuple[str, ...]
    rows: Int64s
    refused: tuple[RefusedRow, ...]
    date: str
    _cells: pd.DataFrame
    # How many cells each row has, where some have fewer than the header.
    _counts: Int64s | None = None

    def only(self, wanted: Mask) -> Self:
        counts = None if self._counts is None else self._counts[wanted]
        return replace(self, rows=self.rows[wanted], _cells=self._cells[wanted], _counts=counts)

    def cut(self, columns: Collection[str]) -> dict[int, tuple[str, str]]:
        if self._counts is None:
            return {}
        width = len(self.names)
        needed = 1 + max((self.names.index(name) for name in columns), default=-1)
        told = {}
        for row in np.flatnonzero(self._counts < needed).tolist():
            count = int(self._counts[row])
            cells = self._cells.iloc[row, :count].fillna("")
            told[row] = ",".join(cells)[:_SHOWN], f"{count} cells, and the header has {width}"
        return told

    def times(self, name: str) -> Cells:
        cells = self.text(name)
        if not self.date:
            return cells
        ms = pd.to_numeric(cells, errors="coerce")
        return (pd.Timestamp(self.date) + pd.to_timedelta(ms, unit="ms")).reset_index(drop=True)

    def numbers(self, name: str) -> Text:
        return cast("Text", self._cells.iloc[:, self.names.index(name)].reset_index(drop=True))

    def text(self, name: str) -> Text:
        return self.numbers(name).str.strip()


class CsvTable:
    """A header and lines of cells."""

    row_name = "line"

    def __init__(
        self,
        text: IO[bytes],
        *,
        skip_rows: int,
        columns: tuple[str, ...] | None,
        file_name: str,
        first_line: int = 1,
    ) -> None:
        """The table of a text in UTF-8, separated by commas, semicolons, tabs or bars.

        Args:
            skip_rows: lines that stand above it.
            columns: the names of its columns, where it has no header.
            first_line: the number of its first line.

        Raises:
            Unreadable: it is empty, or has no header and is of no known shape.
        """
        self._text = text
        self._lines_before = skip_rows + first_line - 1
        text.seek(0)
        for _ in range(skip_rows):
            text.readline()
        start = text.tell()
        with _told():
            self._separator, header, lines, self._width = _begun(
                text.read(_BEGINNING).decode(errors="replace"), columns, file_name
            )
        text.seek(start)
        for _ in range(lines):
            text.readline()
        self._start, self._lines_before = text.tell(), self._lines_before + lines
        self.names, self.notes, self.guesses = header.names, header.notes, header.guesses
        self.price_scale = header.price_scale
        self._header = header
        named = {cell for row in (header.names, *header.rows) for cell in row if is_value(cell)}
        self._header_words = [
            each for name in named for each in (name, name.lower(), name.title(), name.upper())
        ]
        dates = re.findall(r"(?<!\d)(?:19|20)\d{6}(?!\d)", file_name) if header.is_dated_by_name else [""]
        self._date = dates[0]
        # Where commas are decimal signs, semicolons separate; with dots too, it is another way to write CSV.
        self.usual_decimal = None if self._separator == ";" else "."
        self._is_regular = self._check()

    def pieces(self) -> Iterator[CsvPiece]:
        with _told():
            self._text.seek(self._start)
            yield from self._quickly() if self._is_regular else self._by_record()

    def _check(self) -> bool:
        """Whether each line is a record, and none has more or fewer cells than the header."""
        self._text.seek(self._start)
        lines, quotes, ended = 0, False, True
        last = max((at for at, name in enumerate(self.names) if name), default=0)
        perhaps_cut = False
        while chunk := self._text.read(1 << 20):
            lines += chunk.count(b"\n")
            quotes = quotes or b'"' in chunk
            ended = chunk.endswith(b"\n")
        self._text.seek(self._start)
        try:
            rows = 0
            for cells in self._read():
                # A separator at the end of each line is usual; a value after it belongs to no column.
                if cells.iloc[:, len(self.names) :].notna().any(axis=None):
                    return False
                perhaps_cut |= bool(cells[cells[last].isna()].notna().any(axis=None))
                rows += len(cells)
        except (pd.errors.ParserError, pd.errors.EmptyDataError):
            return False
        if perhaps_cut and (quotes or self._has_short_line(last)):
            return False
        return not quotes or rows == lines + (not ended)  # else some cells have line breaks in them

    def _has_short_line(self, separators: int) -> bool:
        """Whether a line that is not blank has fewer separators; for pandas, what is not there is empty."""
        self._text.seek(self._start)
        sign = self._separator.encode()
        try:
            return any(line.count(sign) < separators and not line.isspace() for line in self._text)
        finally:
            self._text.seek(self._start)

    def _read(self) -> Iterator[pd.DataFrame]:
        with pd.read_csv(
            self._text,
            sep=self._separator,
            header=None,
            names=list(range(max(len(self.names), self._width))),
            dtype="str",
            index_col=False,
            keep_default_na=False,
            na_values=list(NOTHING),
            skip_blank_lines=False,  # so that a row's place is its line
            skipinitialspace=True,
            chunksize=MAX_PIECE_ROWS,
        ) as reader:
            yield from reader

    def _quickly(self) -> Iterator[CsvPiece]:
        for cells in self._read():
            said = cells.dropna(how="all")
            rows = said.index.to_numpy(dtype=np.int64) + self._lines_before + 1
            self._check_headers(said, rows)
            yield CsvPiece(self.names, rows, (), self._date, said)

    def _check_headers(self, cells: pd.DataFrame, rows: Int64s) -> None:
        """Check the lines that have names of columns in their second or their third cell."""
        for at in range(1, min(3, cells.shape[1])):
            for row in np.flatnonzero(cells.iloc[:, at].isin(self._header_words)).tolist():
                self._header.check_repeated(cells.iloc[row].fillna("").tolist(), int(rows[row]))

    def _by_record(self) -> Iterator[CsvPiece]:
        """The same, slowly: lines that have more cells than the header are told, and left out."""
        text = io.TextIOWrapper(self._text, "utf-8", newline="")
        try:
            reader = _reader(text, self._separator, strict=True)
            width, end = len(self.names), self._lines_before
            kept: list[list[str]] = []
            rows: list[int] = []
            counts: list[int] = []
            refused: list[RefusedRow] = []
            for cells in reader:
                while len(cells) > width and cells[-1].strip() in NOTHING:
                    cells.pop()
                line, end = end + 1, self._lines_before + reader.line_num
                if len(cells) > width:
                    told = self._separator.join(cells)[:_SHOWN]
                    reason = f"{len(cells)} cells, and the header has {width}"
                    refused.append(RefusedRow(line, "cells", told, reason))
                elif any(cell.strip() not in NOTHING for cell in cells):
                    kept.append(cells + [""] * (width - len(cells)))
                    rows.append(line)
                    counts.append(len(cells))
                if len(kept) == MAX_PIECE_ROWS:
                    yield self._piece(kept, rows, counts, refused)
                    kept, rows, counts, refused = [], [], [], []
            yield self._piece(kept, rows, counts, refused)
        finally:
            text.detach()

    def _piece(
        self, kept: list[list[str]], rows: list[int], counts: list[int], refused: list[RefusedRow]
    ) -> CsvPiece:
        frame = pd.DataFrame(kept, columns=range(len(self.names)), dtype="str")
        frame = frame.mask(frame.isin(NOTHING))
        places, cells = np.array(rows, dtype=np.int64), np.array(counts, dtype=np.int64)
        self._check_headers(frame, places)
        return CsvPiece(self.names, places, tuple(refused), self._date, frame, cells)


def _begun(text: str, columns: tuple[str, ...] | None, file_name: str) -> tuple[str, Header, int, int]:
    """The separator, the header, the number of lines up to its end, and of cells in the line after it."""
    said = re.match(r"\s*sep=(.)\n", text)
    separators = said[1] if said else _SEPARATORS
    skipped = text[: said.end()].count("\n") if said else 0
    text = text[said.end() :] if said else text
    tables = {separator: _records(text, separator) for separator in separators}
    if not any(records for _, records in tables.values()):
        raise Unreadable("it is empty")
    named = [s for s in separators if any(map(names_prices, tables[s][1]))]
    separator = (named or [max(separators, key=lambda s: _usual_count(tables[s][1]))])[0]
    ends, records = tables[separator]
    header = headers.find(records, columns, file_name)
    header = replace(header, rows=tuple(map(tuple, records[: header.first])))
    lines = ends[header.first - 1] if header.first else _first_line(text)
    return (
        separator,
        header,
        skipped + lines,
        len(records[header.first]) if len(records) > header.first else 0,
    )


def _first_line(text: str) -> int:
    """Return how many blank lines the text starts with."""
    return text[: len(text) - len(text.lstrip())].count("\n")


def _usual_count(records: list[list[str]]) -> int:
    """Return how many cells most of the first records have; 0 if they have one."""
    counts = [len(cells) for cells in records if len(cells) > 1]
    return max(counts, key=counts.count, default=0)


def _records(text: str, separator: str) -> tuple[list[int], list[list[str]]]:
    """The first records that are not blank, and the lines up to the end of each."""
    reader = _reader(io.StringIO(text, newline=""), separator)
    ends, records = [], []
    for cells in reader:
        if any(cells := [cell.strip() for cell in cells]):
            ends.append(reader.line_num)
            records.append(cells)
        if len(records) == headers.ROWS:
            break
    return ends, records


def _reader(lines: Any, separator: str, *, strict: bool = False) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is raised for a file that is not CSV into Unreadable."""
    try:
        yield
    except (pd.errors.ParserError, csv.Error) as error:
        told = str(error).removeprefix("Error tokenizing data. C error: ")
        is_open = "unexpected end of data" in told or "EOF inside string" in told
        raise Unreadable("a quotation mark is never closed" if is_open else told) from None

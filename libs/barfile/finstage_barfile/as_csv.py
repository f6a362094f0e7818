"""Workbooks and JSON as CSV: their cells as text, with every digit."""

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Sequence
from typing import IO, Any

from finstage_barfile.errors import Unreadable, listed
from finstage_barfile.source import Source, temporary


def of_workbook(source: Source) -> IO[bytes]:
    """The one sheet of an .xlsx that holds rows, as CSV in UTF-8.

    Raises:
        Unreadable: it is damaged, several sheets hold rows, or openpyxl is missing.
    """
    try:
        import openpyxl  # type: ignore[import-untyped]  # an extra: most files are CSV
    except ImportError:
        raise Unreadable(
            "Excel workbooks are read by: pip install openpyxl, or finstage-barfile[excel]"
        ) from None
    source.file.seek(0)
    try:
        book = openpyxl.load_workbook(source.file, read_only=True, data_only=True)
        sheets = [
            sheet for sheet in book.worksheets if any(map(any, sheet.iter_rows(max_row=50, values_only=True)))
        ]
        if len(sheets) > 1:
            names = listed([repr(sheet.title) for sheet in sheets], 5)
            raise Unreadable(f"its sheets {names} all hold rows; save the wanted one as CSV")
        return _written(map(_plain_cells, sheets[0].iter_rows(values_only=True)) if sheets else ())
    except (KeyError, ValueError, OSError) as error:
        raise Unreadable(f"it is not a whole Excel workbook: {error}") from None


def of_json(text: IO[bytes]) -> tuple[IO[bytes], bool] | None:
    """JSON lines, or an array of objects or of arrays, as CSV in UTF-8, and whether that has a header.

    None: the text is not JSON.

    Raises:
        Unreadable: it is damaged, or holds no rows.
    """
    text.seek(0)
    begins = text.read(4096).lstrip()[:1]
    text.seek(0)
    if begins not in (b"{", b"["):
        return None
    try:
        if begins == b"[":
            rows = _parsed(text.read())
            if all(isinstance(row, list) for row in rows):
                return _written(map(_plain_cells, rows)), False
            return _written(_of_objects(rows, _names(rows))), True
        names = _names(map(_parsed, filter(bytes.strip, text)))
        text.seek(0)
        return _written(_of_objects(map(_parsed, filter(bytes.strip, text)), names)), True
    except (ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"it is not JSON with one object a line, nor an array of rows: {error}") from None


def _parsed(text: bytes) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


def _names(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _of_objects(rows: Iterable[dict[str, Any]], names: list[str]) -> Iterable[Sequence[str]]:
    yield names
    for row in rows:
        yield [_plain(row.get(name)) for name in names]


def _plain_cells(cells: Sequence[Any]) -> list[str]:
    return [_plain(cell) for cell in cells]


def _plain(cell: Any) -> str:
    if isinstance(cell, dt.datetime):
        return str(cell.date()) if cell.time() == dt.time() else cell.isoformat(" ")
    return "" if cell is None else str(cell)


def _written(rows: Iterable[Sequence[str]]) -> IO[bytes]:
    made = temporary()
    text = io.TextIOWrapper(made, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
    text.detach()
    return made

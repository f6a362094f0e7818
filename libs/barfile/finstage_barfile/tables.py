"""The table of a file, whatever its format: its first bytes tell that."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from finstage_barfile.arrow_table import ARROW_FILE, ARROW_STREAM, PARQUET, ArrowTable
from finstage_barfile.as_csv import of_json, of_workbook
from finstage_barfile.csv_table import CsvTable
from finstage_barfile.errors import Unreadable
from finstage_barfile.source import Source, as_text, opened
from finstage_barfile.table import Table

_PACKED = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")
# The names that files of these formats have.
SUFFIXES = (
    *(f"{kind}{packed}" for kind in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson") for packed in _PACKED),
    ".zip", ".parquet", ".pq", ".feather", ".arrow", ".xlsx",
)  # fmt: skip


@contextmanager
def opened_table(
    path: Path, *, columns: Sequence[str] | None, skip_rows: int, encoding: str | None
) -> Iterator[tuple[Table, str]]:
    """The table of a file, and the digest of its bytes; arguments as read() has them.

    Raises:
        Unreadable: there is none.
    """
    try:
        with opened(path) as source:
            if any(map(source.begins_with, (PARQUET, ARROW_FILE, ARROW_STREAM))):
                yield ArrowTable(source.file), source.digest
                return
            if path.suffix in (".parquet", ".pq"):
                raise Unreadable(f"it is not Parquet: it does not begin with {PARQUET.decode()}")
            text, first_line = _text(source, encoding)
            with text:
                names = None if columns is None else tuple(columns)
                yield (
                    CsvTable(
                        text, skip_rows=skip_rows, columns=names, file_name=source.name, first_line=first_line
                    ),
                    source.digest,
                )
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _text(source: Source, encoding: str | None) -> tuple[IO[bytes], int]:
    """The text of a table, and the number of its first line."""
    if source.is_workbook:
        return of_workbook(source), 1
    text = as_text(source, encoding)
    made = of_json(text)
    if made is None:
        return text, 1
    text.close()
    return made[0], 0 if made[1] else 1  # names are not a line of JSON

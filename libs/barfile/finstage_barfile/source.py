"""The bytes of a file: read once, digested, unpacked, and kept in a temporary file while they are parsed."""

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from finstage_barfile.errors import Unreadable, listed

STDIN = Path("-")

# Smaller files stay in memory.
MAX_IN_MEMORY = 4 << 20
_CHUNK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PACKED: tuple[tuple[bytes, Callable[[IO[bytes]], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", lambda file: _chunks(gzip.GzipFile(fileobj=file, mode="rb"))),
    (b"BZh", lambda file: _chunks(bz2.BZ2File(file))),
    (b"\xfd7zXZ\0", lambda file: _chunks(lzma.LZMAFile(file))),  # noqa: SIM115  # it holds nothing but `file`
    (b"\x28\xb5\x2f\xfd", lambda file: _of_zstandard(file)),
)
_ZIP = b"PK\x03\x04"
_WORKBOOK = "xl/workbook.xml"
_TABLES = (".csv", ".txt", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".feather", ".arrow")
_OTHERS = (
    (b"FEA1", "a Feather file of version 1; write it again as version 2"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as .xlsx or CSV"),
    (b"%PDF", "a PDF document"),
    (b"<!doctype", "a web page, not a table"),
    (b"<html", "a web page, not a table"),
    (b"<?xml", "XML, not a table"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a file.

    file: its bytes, unpacked; a temporary file that can be read again.
    digest: SHA-256, in hexadecimal, of the bytes as they were read.
    name: the file's name, or that of the one file in an archive.
    is_workbook: whether it is an .xlsx.
    """

    file: IO[bytes]
    digest: str
    name: str
    is_workbook: bool

    def begins_with(self, magic: bytes) -> bool:
        """Whether its first bytes are these."""
        self.file.seek(0)
        return self.file.read(len(magic)) == magic


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The content of the file at `path`, or of the standard input for "-"; closed at the end.

    Raises:
        OSError: it cannot be read.
        Unreadable: it is empty, damaged, or of a kind that cannot be read.
    """
    digest = hashlib.sha256()
    with tempfile.SpooledTemporaryFile(MAX_IN_MEMORY) as raw:
        with sys.stdin.buffer if path == STDIN else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                raw.write(chunk)
        source = _unpacked(Source(raw, digest.hexdigest(), path.name, is_workbook=False))
        try:
            yield source
        finally:
            source.file.close()


def temporary() -> IO[bytes]:
    """A new temporary file, in memory while it is small."""
    return tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)


def as_text(source: Source, encoding: str | None) -> IO[bytes]:
    """The text of `source` in UTF-8, its lines ended by a line feed, without a byte-order mark.

    Args:
        encoding: the encoding. None: as its byte-order mark says; UTF-8 without one.

    Raises:
        Unreadable: it is not text of that encoding.
    """
    source.file.seek(0)
    begins = source.file.read(4096)
    for other, what in _OTHERS:
        if begins.lstrip().lower().startswith(other.lower()):
            raise Unreadable(f"it is {what}")
    mark, marked = next(((mark, name) for mark, name in _BOMS if begins.startswith(mark)), (b"", None))
    used = encoding or marked or "utf-8"
    if encoding is None and marked is None and b"\0" in begins:
        raise Unreadable("it holds zero bytes, so it is not UTF-8 text", settled_by="encoding")
    source.file.seek(len(mark))
    reader = io.TextIOWrapper(source.file, used, newline=None)
    text = temporary()
    try:
        while chunk := reader.read(_CHUNK):
            text.write(chunk.encode())
    except UnicodeError:
        text.close()
        told = {"utf-8": "UTF-8"}.get(used, used)
        raise Unreadable(f"it is not {told} text", settled_by="encoding") from None
    finally:
        reader.detach()
    return text


def _unpacked(source: Source) -> Source:
    """`source` without its compression, and without an archive of one file around it."""
    if source.begins_with(_ZIP):
        with _told():
            return _of_archive(source)
    for magic, reader in _PACKED:
        if source.begins_with(magic):
            source.file.seek(0)
            name = source.name.rpartition(".")[0] or source.name
            with _told():
                return _unpacked(_copied(reader(source.file), source, name))
    source.file.seek(0)
    if not source.file.read(1):
        raise Unreadable("it is empty")
    return source


def _of_archive(source: Source) -> Source:
    with zipfile.ZipFile(source.file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        if _WORKBOOK in names:
            return Source(source.file, source.digest, source.name, is_workbook=True)
        tables = [name for name in names if name.lower().endswith(_TABLES)]
        if len(tables) > 1:  # such as HistData's, with a report beside the bars
            tables = [name for name in tables if not name.lower().endswith(".txt")] or tables
        wanted = tables if len(tables) == 1 else names
        if len(wanted) != 1:
            raise Unreadable(f"it is an archive of {len(names)} files, {listed(names, 5)}; unpack it")
        with archive.open(wanted[0]) as member:
            return _unpacked(_copied(_chunks(member), source, Path(wanted[0]).name))


def _copied(chunks: Iterator[bytes], source: Source, name: str) -> Source:
    unpacked = temporary()
    try:
        for chunk in chunks:
            unpacked.write(chunk)
    except BaseException:
        unpacked.close()
        raise
    return Source(unpacked, source.digest, name, is_workbook=False)


def _chunks(reader: Any) -> Iterator[bytes]:
    while chunk := reader.read(_CHUNK):
        yield chunk


def _of_zstandard(file: IO[bytes]) -> Iterator[bytes]:
    """The content of all frames; zstandard's own reader takes a broken frame for a whole one."""
    try:
        import zstandard  # an extra: most files are not packed so
    except ImportError:
        raise Unreadable("Zstandard is read by: pip install zstandard, or finstage-barfile[zstd]") from None
    frame = zstandard.ZstdDecompressor().decompressobj()
    for packed in _chunks(file):
        rest = packed
        while rest:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(rest)
            rest = frame.unused_data
    if not frame.eof:
        raise EOFError("it ends in the middle")


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is raised for a damaged file into Unreadable."""
    try:
        yield
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        raise Unreadable(f"it is compressed, and damaged or locked: {error}") from None
    except Exception as error:
        if type(error).__module__.startswith("zstandard") or type(error).__name__ == "ZstdError":
            raise Unreadable(f"it is compressed, and damaged: {error}") from None
        raise

"""Where the bytes of a file come from, how they are packed and encoded, and that they are read once."""

import bz2
import datetime as dt
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import feather, ipc

import finstage_barfile as barfile
from finstage_barfile import Unreadable
from finstage_market.interval import Interval

CSV = b"Date,Open,High,Low,Close,Volume\n2024-01-02,1,3,0,2,5\n2024-01-03,2,4,1,3,6\n"


def closes(path: Path, **how: object) -> list[float]:
    return barfile.read(path, **how).columns.close.tolist()  # type: ignore[arg-type]


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, lambda data: zipped(bars__csv=data),
     lambda data: zipped(bars__csv=data, bars__txt=b"a report"),
     lambda data: gzip.compress(zipped(a__csv=data))],
)  # fmt: skip
def test_a_packed_file_is_unpacked_whatever_its_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(pack(CSV))
    assert closes(path) == [2, 3]
    path.write_bytes(pack(CSV)[:-9])
    with pytest.raises(Unreadable, match="it is compressed, and damaged"):
        barfile.read(path)


def test_an_archive_of_several_tables_is_refused_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "bars.zip"
    path.write_bytes(zipped(a__csv=CSV, b__csv=CSV))
    with pytest.raises(Unreadable, match=r"it is an archive of 2 files, a\.csv, b\.csv; unpack it"):
        barfile.read(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(CSV.decode().encode(encoding))
    assert closes(path) == [2, 3]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_another_encoding_is_asked_for_and_given(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(CSV.decode().replace("Volume", "Volume,Größe").encode(encoding))
    with pytest.raises(Unreadable, match=r"it is not UTF-8 text|it holds zero bytes") as caught:
        barfile.read(path)
    assert caught.value.settled_by == "encoding"
    assert closes(path, encoding=encoding) == [2, 3]


@pytest.mark.parametrize("kind", ["feather", "file", "stream"])
def test_arrow_files(tmp_path: Path, kind: str) -> None:
    days = pa.array([dt.date(2024, 1, 2), dt.date(2024, 1, 3)])
    prices = {name: [2.0, 3.0] for name in ("open", "high", "low", "close", "volume")}
    table, path = pa.table({"date": days} | prices), tmp_path / "bars.arrow"
    if kind == "feather":
        feather.write_feather(table, path, compression="lz4")
    else:
        with (ipc.new_file if kind == "file" else ipc.new_stream)(str(path), table.schema) as writer:
            for batch in table.to_batches(max_chunksize=1):
                writer.write_batch(batch)
    assert closes(path) == [2, 3]


def test_json_lines_keep_every_digit_and_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bars.jsonl"
    prices = {"o": 0.1, "h": 0.3, "l": 0.1, "c": "0.2", "v": 7}
    rows = [{"t": 1704067200000 + 86_400_000 * at} | prices for at in (0, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"t":1704240000000,"o":1,"v":1.5}\n')
    bars = barfile.read(path)
    assert bars.columns.close.tolist()[:2] == [0.2, 0.2]
    assert bars.columns.volume.tolist() == [7, 7, 1.5]
    assert (bars.rows.tolist(), bars.interval) == ([1, 2, 3], "1d")


def test_json_arrays_of_objects_and_of_arrays(tmp_path: Path) -> None:
    path = tmp_path / "bars.json"
    path.write_text('[{"date": "2024-01-02", "open": 1, "high": 2, "low": 1, "close": 2, "volume": 3}]')
    assert closes(path) == [2]
    path.write_text('[[1704067200000, "1", "3", "1", "2", "5", 1704070799999, "1", 1, "1", "1", "0"]]')
    assert closes(path, interval=Interval.H1) == [2]
    path.write_text('{"date": [1, 2]')
    with pytest.raises(Unreadable, match="it is not JSON with one object a line, nor an array of rows"):
        barfile.read(path)


def test_a_workbook_of_one_sheet(tmp_path: Path) -> None:
    path, book = tmp_path / "bars.xlsx", openpyxl.Workbook()
    sheet = book.active
    sheet.append(["My export"])
    sheet.append(["Date", "Open", "High", "Low", "Close", "Volume"])
    sheet.append([dt.datetime(2024, 1, 2), 0.1, 0.3, 0.1, 0.2, 5])
    sheet.append([dt.datetime(2024, 1, 3), 0.1, 0.3, 0.1, None, 6])
    book.create_sheet("empty")
    book.save(path)
    bars = barfile.read(path, interval=Interval.D1)
    assert (bars.columns.close[0], bars.rows.tolist()) == (0.2, [3, 4])
    book.create_sheet("more").append(["Date", 1])
    book.save(path)
    with pytest.raises(Unreadable, match="its sheets 'Sheet', 'more' all hold rows"):
        barfile.read(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!DOCTYPE html><html>", "it is a web page, not a table"),
        (b"\n<html lang=en>", "it is a web page, not a table"),
        (b"%PDF-1.7 ...", "it is a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is an old Excel workbook; save it as .xlsx or CSV"),
        (b"FEA1....", "it is a Feather file of version 1"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=told):
        barfile.read(path)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(gzip.compress(CSV)))
    writer.start()
    bars = barfile.read(path)
    writer.join()
    assert bars.columns.close.tolist() == [2, 3]
    assert bars.digest == hashlib.sha256(gzip.compress(CSV)).hexdigest() or len(bars.digest) == 64


def test_the_standard_input_is_a_dash() -> None:
    code = "import finstage_barfile as b; f = b.read(b.STDIN); print(f.columns.close.tolist(), f.digest)"
    done = subprocess.run([sys.executable, "-c", code], input=CSV, capture_output=True, check=True)
    assert done.stdout.decode().split("] ") == ["[2.0, 3.0", f"{hashlib.sha256(CSV).hexdigest()}\n"]


def test_the_digest_is_that_of_the_bytes_that_were_parsed_while_the_file_grows(tmp_path: Path) -> None:
    """As many times as it is read, its bars are those of its digest."""
    path, done = tmp_path / "bars.csv", threading.Event()
    path.write_bytes(CSV.splitlines(keepends=True)[0])
    lines = [CSV.splitlines(keepends=True)[0]]

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for minute in range(60 * 24):
                lines.append(f"2024-01-02 {minute // 60:02}:{minute % 60:02}Z,1,1,1,1,{minute}\n".encode())
                file.write(lines[-1])
        done.set()

    writer = threading.Thread(target=grow)
    writer.start()
    seen = []
    while not done.is_set() or not seen:
        try:
            seen.append(barfile.read(path, interval=Interval.M1))
        except barfile.NoRows:
            continue
    writer.join()
    seen.append(barfile.read(path, interval=Interval.M1))
    for bars in seen:
        content = b"".join(lines[: len(bars.bars) + 1])
        assert bars.digest == hashlib.sha256(content).hexdigest()
    assert len(seen[-1].bars) == 1440


def test_control_characters_of_a_file_are_never_told_raw(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("Da\x1b[31mte,Op\x9ben\x07,\u202eHigh\n1,2,3\n")
    with pytest.raises(Unreadable) as caught:
        barfile.read(path)
    assert str(caught.value).isprintable()
    assert r"Da\x1b[31mte" in str(caught.value)


ROWS = 400_000
_READ = """
import resource, sys
from pathlib import Path
import finstage_barfile as barfile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bars = barfile.read(Path(sys.argv[1])).bars
for start in range(0, len(bars), 5000):
    bars[start : start + 5000]
print(len(bars), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_large_file_is_read_in_pieces(tmp_path: Path, *, newest_first: bool) -> None:
    """Far less than its text is in memory: about 50 bytes a row, once what one piece needs is there."""
    path = tmp_path / "bars.csv"
    times = range(1704067200, 1704067200 + 60 * ROWS, 60)
    with path.open("w") as file:
        file.write("time,open,high,low,close,volume\n")
        for time in reversed(times) if newest_first else times:
            file.write(f"{time},100.25,101.5,99.75,100.5,{time % 977}\n")
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True
    )
    rows, grown_mb = map(int, done.stdout.split())
    assert rows == ROWS
    assert grown_mb < 90

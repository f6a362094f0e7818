"""The speed of writing and reading bars: python -m bench.ingest [quick]

One run compares, with daily bars: the account's way (ORM add and commit per row, bulk_insert_mappings),
SQLAlchemy Core, ours, and the limit (bare executemany; bare binary COPY), into an empty table and then again.
It goes on with the whole path from a client through WriteBars, with reading, and with the memory of a long
stream.

Ours is ClientWriter.write() with all its guarantees: it compares the rows with the stored ones, counts them,
writes the ledger, versions and the log of commits, and is durable. The limits do none of this.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import psycopg

from bench import ingest_account as ways
from bench import report
from bench.report import BRIEF, Row, Samples, at_least, at_most, row, sized, value_at_most
from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_market.columns import Columns
from finstage_market.interval import Interval
from finstage_market.wire import columns_parts, field_parts, joined
from finstage_runtime.clock import SYSTEM
from services.ingest.series import CheckedBars, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from services.ingest.store.values import Batch, WriteHeader, WriteMode
from tests.e2e.running import ServiceProcess, free_ports
from tests.postgres_server import create_database, drop_database, given_url, postgres_server

FreshDatabase: TypeAlias = Callable[[], AbstractContextManager[str]]

BARS = sized(10_000, 500)  # in a series: 40 years of days
BATCHES_A_COMMIT = 20  # as WriteBars itself commits: chunks.MAX_ROWS
MEMORY_ROWS = sized(10_000_000, 20 * BARS)
DAY_MS = 86_400_000
WRITE_BARS = "/finstage.ingest.v1.IngestService/WriteBars"
_BATCH = pb.WriteBarsRequest.DESCRIPTOR.fields_by_name["batch"].number
_COLUMNS = pb.BarBatch.DESCRIPTOR.fields_by_name["columns"].number


def series_of(n: int) -> list[Columns]:
    """Return n series of BARS daily bars, random walks."""
    times = 631_152_000_000 + DAY_MS * np.arange(BARS)
    out = []
    for seed in range(n):
        close = np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, BARS))) * 100
        out.append(Columns(times, close, close * 1.01, close * 0.99, close, np.full(BARS, 1e6)))
    return out


def batches_of(series: Sequence[Columns]) -> list[Batch]:
    """Return one batch per series, as the servicer makes them from messages."""
    return [
        Batch(
            sequence=i,
            key=SeriesKey(f"S{i}", Interval.D1),
            sent=len(bars),
            digest=bytes(32),
            bars=CheckedBars(bars),
            symbol=f"S{i}",
            interval=Interval.D1,
        )
        for i, bars in enumerate(series, 1)
    ]


def write(store: Store, key: str, series: Sequence[Columns]) -> float:
    """Return the rows per second of one client's write."""
    header, batches = WriteHeader(key, WriteMode.UPSERT, "client:bench"), batches_of(series)
    store.writes.open(header)
    begun = time.perf_counter()
    for first in range(0, len(batches), BATCHES_A_COMMIT):
        store.writes.write(header, batches[first : first + BATCHES_A_COMMIT])
    return sum(map(len, series)) / (time.perf_counter() - begun)


def mixed(series: Sequence[Columns]) -> tuple[list[Columns], list[Columns]]:
    """Return the bars to store first, and those to write next: thirds of new, changed and equal bars."""
    held, sent = [], []
    for bars in series:
        turn = np.arange(len(bars)) % 3
        held.append(bars[turn != 0])
        close = np.where(turn == 1, bars.close * 1.001, bars.close)
        sent.append(Columns(bars.open_time_ms, bars.open, bars.high, bars.low, close, bars.volume))
    return held, sent


class Figures:
    """Rows per second by case, one figure per round."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, case: str, value: float) -> None:
        """Add one round's figure."""
        self._values.setdefault(case, []).append(value)

    def __getitem__(self, case: str) -> Samples:
        return Samples(tuple(self._values[case]))


def stores(
    name: str,
    fresh: FreshDatabase,
    settle: Callable[[str], None],
    limit: Callable[[str, Sequence[Columns]], float],
    *,
    rows: int,
    rounds: int,
) -> Figures:
    """Measure one kind of database: in each round every case in turn, each on a fresh database."""
    series, figures = series_of(rows // BARS), Figures()
    held, sent = mixed(series)
    for number in range(rounds):
        with fresh() as url:
            settle(url)
            # Each case leaves the disk in some state for the next one, so the order changes from round to
            # round.
            if number % 2:
                figures.add("limit", limit(url, series))
                settle(url)
            store = open_store(url, clock=SYSTEM)
            figures.add("ours, empty", write(store, "1", series))
            settle(url)
            figures.add("ours, again", write(store, "2", series))
            settle(url)
            if not number % 2:
                figures.add("limit", limit(url, series))
            store.close()
        with fresh() as url:
            store = open_store(url, clock=SYSTEM)
            write(store, "1", held)
            settle(url)
            figures.add("ours, mixed", write(store, "2", sent))
            store.close()
        with fresh() as url:
            added, changed = ways.orm_commit_per_row(url, series)
            figures.add("ORM", added)
            figures.add("ORM, again", changed)
            figures.add("bulk", ways.bulk_insert_mappings(url, series))
            first, again = ways.core_upsert(url, series)
            figures.add("Core", first)
            figures.add("Core, again", again)
        print(f"  {name}, {rows:,} rows: round {number + 1} of {rounds}", flush=True)
    return figures


def store_rows(name: str, rows: int, found: Figures, goals: dict[str, float]) -> list[Row]:
    """Return the rows of the report for one kind of database."""
    title, base = f"{name}, {rows:,} rows", found["limit"]
    lines = [row(f"{title}: the limit", base, "rows/s")]
    cases = {
        "ORM": "ORM add + commit per row",
        "ORM, again": "ORM change + commit per row",
        "bulk": "bulk_insert_mappings 1000",
        "Core": "SQLAlchemy Core upsert",
        "Core, again": "SQLAlchemy Core upsert, again",
    }
    for case, text in cases.items():
        lines.append(row(f"{title}: {text}", found[case], "rows/s", against="limit", base=base))
    for case in ("ours, empty", "ours, again", "ours, mixed"):
        goal = at_least(goals[case]) if case in goals else None
        lines.append(row(f"{title}: {case}", found[case], "rows/s", against="limit", base=base, goal=goal))
    times = at_least(goals["ORM"])
    lines.append(
        row(f"{title}: ours", found["ours, empty"], "rows/s", against="ORM", base=found["ORM"], goal=times)
    )
    return lines


# The whole path


@contextmanager
def service(url: str, folder: Path) -> Iterator[ServiceProcess]:
    """Run the real ingest process on a database."""
    process = ServiceProcess("ingest", folder, *free_ports(2), DATABASE_URL=url, LOG_LEVEL="WARNING")
    process.start()
    try:
        yield process
    finally:
        process.kill()


def send(target: str, key: str, batches: Iterator[bytes]) -> int:
    """Write batches through WriteBars; return the number of acknowledged rows."""
    header = pb.WriteBarsHeader(idempotency_key=key, source="client:bench")
    rows = 0

    def requests() -> Iterator[bytes]:
        yield pb.WriteBarsRequest(header=header).SerializeToString()
        yield from batches

    with grpc.insecure_channel(target) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(WRITE_BARS)
        for answer in call(requests()):
            rows += pb.WriteBarsResponse.FromString(answer).ack.rows.inserted
    return rows


def messages(series: Sequence[Columns], first: int = 1, *, symbols: str = "S") -> Iterator[bytes]:
    """Return one batch per series, as messages. first: the number of the first batch and symbol."""
    for i, bars in enumerate(series, first):
        rest = pb.BarBatch(sequence=i, symbol=f"{symbols}{i}", interval=Interval.D1).SerializeToString()
        yield joined(
            field_parts(_BATCH, [rest + joined(field_parts(_COLUMNS, [joined(columns_parts(bars))]))])
        )


def through_the_service(
    fresh: FreshDatabase, folder: Path, *, rows: int, rounds: int, memory_rows: int
) -> tuple[Samples, Samples, float]:
    """Return rows per second from a client to the commit, and of the store alone, measured in turns.

    The last figure is the service's peak memory in MiB after `memory_rows` more rows in one stream; 0 without
    any.
    """
    series, path, alone, peak = series_of(rows // BARS), [], [], 0.0
    for number in range(1, rounds + 1):
        with fresh() as url, service(url, folder) as ingest:
            begun = time.perf_counter()
            written = send(ingest.target, "path", messages(series))
            path.append(written / (time.perf_counter() - begun))
            assert written == rows
            if number == rounds and memory_rows:
                assert send(ingest.target, "memory", long_stream(memory_rows)) == memory_rows
                peak = peak_memory_mib(ingest.pid)
        with fresh() as url:
            store = open_store(url, clock=SYSTEM)
            alone.append(write(store, "1", series))
            store.close()
    return Samples(tuple(path)), Samples(tuple(alone)), peak


def long_stream(rows: int) -> Iterator[bytes]:
    """Return messages of new series, `rows` rows in total."""
    series = series_of(20)
    for first in range(1, rows // BARS + 1, len(series)):
        yield from messages(series, first, symbols="LONG")


def peak_memory_mib(pid: int) -> float:
    """Return the peak resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


# Reading


def reading(url: str, bare: Callable[[], int], *, rounds: int) -> tuple[Samples, Samples]:
    """Return the seconds from the database to wire bytes for one series, and of the driver's bare fetch."""
    store = open_store(url, clock=SYSTEM)
    write(store, "1", series_of(20))
    key = SeriesKey("S7", Interval.D1)

    def ours() -> float:
        begun = time.perf_counter()
        found = store.bars.read(key)
        assert found is not None
        assert len(joined(columns_parts(found.columns))) > 48 * BARS
        return time.perf_counter() - begun

    def theirs() -> float:
        begun = time.perf_counter()
        assert bare() == BARS
        return time.perf_counter() - begun

    found = report.interleaved({"ours": ours, "bare": theirs}, rounds=rounds)
    store.close()
    return found["ours"], found["bare"]


def main(arguments: Sequence[str]) -> int:
    """Measure everything; "quick" leaves out the millions of rows."""
    quick = "quick" in arguments
    sizes = sized((100_000,) if quick else (100_000, 1_000_000), (2 * BARS,))
    lines: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="finstage-bench-")))
        given, numbers = given_url() if BRIEF else None, iter(range(10**6))
        admin_url = given or stack.enter_context(postgres_server(durable=True)).url

        @contextmanager
        def sqlite_url() -> Iterator[str]:
            path = folder / f"{next(numbers)}.db"
            yield f"sqlite:///{path}"
            for file in folder.glob(f"{path.name}*"):
                file.unlink()

        @contextmanager
        def postgres_url() -> Iterator[str]:
            database = f"bench_{os.getpid()}_{next(numbers)}"
            yield create_database(admin_url, database)
            drop_database(admin_url, database)

        def checkpoint(url: str) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")

        def executemany(url: str, series: Sequence[Columns]) -> float:
            path = Path(f"{url.removeprefix('sqlite:///')}.limit")
            figure = ways.bare_executemany(str(path), series)
            for file in folder.glob(f"{path.name}*"):
                file.unlink()
            return figure

        for rows in sizes:
            found = stores("SQLite", sqlite_url, lambda url: None, executemany, rows=rows, rounds=sized(5, 1))
            goals = {"ours, empty": 0.80, "ours, again": 0.80, "ORM": 80}
            lines += store_rows("SQLite", rows, found, goals)
            found = stores(
                "PostgreSQL", postgres_url, checkpoint, ways.bare_copy, rows=rows, rounds=sized(5, 1)
            )
            goals = {"ours, empty": 0.85, "ours, mixed": 0.40, "ours, again": 0.50, "ORM": 400}
            lines += store_rows("PostgreSQL", rows, found, goals)

        for title, fresh in (("SQLite", sqlite_url), ("PostgreSQL", postgres_url)):
            memory_rows = 0 if quick else MEMORY_ROWS
            path, alone, peak = through_the_service(
                fresh, folder, rows=sizes[-1], rounds=sized(3, 1), memory_rows=memory_rows
            )
            text = f"{title}: client to commit, {sizes[-1]:,} rows"
            goal = at_least(0.75)
            lines.append(row(text, path, "rows/s", against="the store alone", base=alone, goal=goal))
            if memory_rows:
                text = f"{title}: memory after a stream of {memory_rows:,} rows"
                lines.append(row(text, peak, "MiB", goal=value_at_most(400, "MiB")))
        lines += read_rows(sqlite_url, postgres_url)

    held = report.write(
        "ingest",
        lines,
        notes=[
            report.versions("sqlalchemy", "psycopg", "numpy", "grpcio")
            + f", SQLite {sqlite3.sqlite_version}",
            f"series of {BARS:,} daily bars; ORM figures of {ways.ORM_ROWS:,} rows, "
            f"bulk and Core of {ways.CORE_ROWS:,}",
            "mixed: a third new, a third changed, a third as it was",
        ],
    )
    return 0 if held else 1


def read_rows(sqlite_url: FreshDatabase, postgres_url: FreshDatabase) -> list[Row]:
    """Return the rows of the report for reading one series of BARS bars."""
    lines = []
    query = "SELECT open_time_ms, open, high, low, close, volume FROM bars WHERE series_id = {} ORDER BY 1"
    with sqlite_url() as url:
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path)
        ours, bare = reading(
            url, lambda: len(connection.execute(query.format("?"), (7,)).fetchall()), rounds=15
        )
        connection.close()
        lines.append(_read_row("SQLite", ours, bare))
    with postgres_url() as url:
        driver = psycopg.connect(url, autocommit=True)
        ours, bare = reading(
            url, lambda: len(driver.execute(query.format("%s"), (7,), binary=True).fetchall()), rounds=15
        )
        driver.close()
        lines.append(_read_row("PostgreSQL", ours, bare))
    return lines


def _read_row(title: str, ours: Samples, bare: Samples) -> Row:
    text = f"{title}: read {BARS:,} bars, database to wire bytes"
    return row(text, ours, "ms", scale=1e3, against="the driver's fetch", base=bare, goal=at_most(2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

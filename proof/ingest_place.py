"""The place of a run: a database of its own, ingest on it, and the fingerprint of its tables."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, select

from finstage_market.columns import Columns
from finstage_market.interval import Interval
from finstage_runtime.clock import SYSTEM
from proof.ingest_process import IngestProcess
from services.ingest.series import SeriesKey
from services.ingest.store.schema import identity, metadata, series, writes
from services.ingest.store.sql import open_store
from tests.e2e.running import ServiceProcess, free_ports

PATIENCE_S = 60.0

# Columns that differ between two runs of the same work: numbers given by the database, the time of day, and
# the worker of each chunk.
_VOLATILE = {
    *("id", "number", "job_number", "xact_id"),
    *(
        "created_at_ms",
        "updated_at_ms",
        "rejected_at_ms",
        "committed_at_ms",
        "fetched_at_ms",
        "adjusted_to_ms",
    ),
    *("started_at_ms", "ended_at_ms", "due_ms", "covered_end_ms", "end_ms"),
    *("fence", "attempts", "worker"),
}


@dataclass(frozen=True)
class Place:
    """A database, the ingest process on it, and the address for clients."""

    url: str
    ingest: ServiceProcess
    target: str

    def committed(self) -> int:
        """Return how many batches of the newest client write are committed, acknowledged or not."""
        with self._connected() as connection:
            newest = select(writes.c.next_sequence).order_by(writes.c.id.desc())
            return (connection.execute(newest).scalar() or 1) - 1

    def stored(self, symbol: str) -> Columns:
        """Return the daily bars in the database, read without ingest."""
        store = open_store(self.url, clock=SYSTEM)
        try:
            read = store.bars.read(SeriesKey(symbol, Interval.D1))
            return Columns.empty() if read is None else read.columns
        finally:
            store.close()

    def fingerprint(self) -> str:
        """Return a hash of all rows of all tables, without the columns that differ from run to run."""
        total = hashlib.sha256()
        with self._connected() as connection:
            names = {
                "series_id": _names(connection, series.c.id, series.c.symbol + series.c.interval),
                "write_id": _names(connection, writes.c.id, writes.c.idempotency_key),
            }
            for table in metadata.sorted_tables:
                columns = [column for column in table.c if column.name not in _VOLATILE]
                if table is identity or not columns:
                    continue
                rows = [
                    repr(
                        [
                            names[c.name].get(v, v) if c.name in names else v
                            for c, v in zip(columns, row, strict=True)
                        ]
                    )
                    for row in connection.execute(select(*columns))
                ]
                total.update("\n".join([table.name, *sorted(rows)]).encode())
        return total.hexdigest()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        url = make_url(self.url)
        engine = create_engine(url.set(drivername="postgresql+psycopg") if "post" in url.drivername else url)
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def _names(connection: Connection, key: Any, name: Any) -> dict[Any, Any]:
    return {None: None, **{row[0]: row[1] for row in connection.execute(select(key, name))}}


@contextmanager
def place(url: str, upstream: str, folder: Path, context: ForkServerContext) -> Iterator[Place]:
    """Run ingest on a database."""
    ingest = IngestProcess(
        context,
        folder,
        free_ports(2),
        PROVIDER="sim",
        SIM_URL=upstream,
        DATABASE_URL=url,
        JOB_LEASE_S="1",
        DRAIN_WAIT_S="0",
    )
    ingest.start()
    try:
        yield Place(url, ingest, ingest.target)
    finally:
        ingest.kill()


def until(what: Callable[[], bool], *, every_s: float = 0.005) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    give_up = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > give_up:
            return False
        time.sleep(every_s)
    return True

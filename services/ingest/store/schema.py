"""The tables, for queries; migrations/ creates them. Times are int milliseconds UTC."""

from dataclasses import fields
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
)

from finstage_market.interval import Interval
from services.ingest.store.values import RowCounts

metadata = MetaData()

identity = Table("identity", metadata, Column("id", Text, primary_key=True))

# SQLite assigns ids only in a column whose type is exactly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("exchange_name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("price_precision", Integer),
    Column("first_bar_ms", BigInteger),
    Column("source", Text, nullable=False),
    Column("fetched_at_ms", BigInteger),
)

series = Table(
    "series",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("bar_count", BigInteger, nullable=False),
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    Column("last_is_final", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched_at_ms", BigInteger),
    Column("as_of_ms", BigInteger),
    Column("covered_start_ms", BigInteger),
    Column("covered_end_ms", BigInteger),
    UniqueConstraint("symbol", "interval"),
)


def _bars(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("series_id", BigInteger, primary_key=True, autoincrement=False),
        Column("open_time_ms", BigInteger, primary_key=True, autoincrement=False),
        Column("open", Double, nullable=False),
        Column("high", Double, nullable=False),
        Column("low", Double, nullable=False),
        Column("close", Double, nullable=False),
        Column("volume", Double, nullable=False),
        # NULL or NaN where there is none.
        Column("adjusted_close", Double),
        sqlite_with_rowid=False,  # rows are stored in the order of their key, one series after the other
    )


# Intraday bars are many and recent, and partitioned by time; the others are few and go far back
# (docs/adr/0007-bars-by-difference.md).
bars = _bars("bars")
bars_intraday = _bars("bars_intraday")


def bars_of(interval: Interval) -> Table:
    """Return the table that holds the bars of an interval."""
    return bars_intraday if interval.is_intraday else bars


events = Table(
    "events",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("time_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", Double),
    Column("numerator", Double),
    Column("denominator", Double),
)

# Ranges of bars with the same origin (ownership.py). write_id: a client's write, which may be gone; NULL: a
# provider.
ownership = Table(
    "stretches",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("write_id", BigInteger),
    Column("adjusted_to_ms", BigInteger),
)

gaps = Table(
    "gaps",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("missing_bars", BigInteger),
    Column("detail", Text, nullable=False),
)

flags = Table(
    "flags",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("open_time_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, primary_key=True),
    Column("detail", Text, nullable=False),
)

rejected_rows = Table(
    "rejected_rows",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("symbol", Text, nullable=False),
    Column("interval", Text),  # NULL: the batch named no supported interval
    Column("open_time_ms", BigInteger, nullable=False),
    Column("row_number", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("sent_values", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("rejected_at_ms", BigInteger, nullable=False),
    Column("write_id", BigInteger),  # with sequence: the client's batch that the row came in
    Column("sequence", BigInteger),
    Index("rejected_rows_by_symbol", "symbol", "interval", "id"),
    Index("rejected_rows_by_source", "source", "id"),
    Index("rejected_rows_by_batch", "write_id", "sequence"),
    sqlite_autoincrement=True,
)


COUNTS = tuple(field.name for field in fields(RowCounts))


def read_counts(row: Row[Any]) -> RowCounts:
    """Return the counts in a row of a table or query that has them."""
    return RowCounts(*(int(getattr(row, name)) for name in COUNTS))


def _counts() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in COUNTS]


writes = Table(
    "writes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("mode", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("next_sequence", BigInteger, nullable=False),
    *_counts(),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

write_batches = Table(
    "write_batches",
    metadata,
    Column("write_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    *_counts(),
    Column("epoch", BigInteger),
    Column("revision", BigInteger),
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("request_id", Text, unique=True),  # NULL: none
    Column("state", Text, nullable=False),
    Column("symbols", JSON, nullable=False),
    Column("intervals", JSON, nullable=False),
    Column("start_ms", BigInteger),
    Column("end_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Index("jobs_by_state", "state", "number"),
    sqlite_autoincrement=True,
)

job_chunks = Table(
    "job_chunks",
    metadata,
    Column("job_number", BigInteger, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("state", Text, nullable=False),  # of chunk_ledger.py
    Column("due_ms", BigInteger, nullable=False),  # waiting: from when on; leased: until when
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    *_counts(),
    Column("digest", LargeBinary),
    Column("reason", Text),
    Column("message", Text),
    Column("ended_at_ms", BigInteger),
    Index("job_chunks_by_due", "state", "due_ms"),
)

deletions = Table(
    "deletions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("bar_count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("deleted_at_ms", BigInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    # PostgreSQL: the transaction, because ids do not become visible in order; SQLite: 0.
    Column("xact_id", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("restated", Boolean, nullable=False),
    Column("first_changed_ms", BigInteger, nullable=False),
    Column("last_changed_ms", BigInteger, nullable=False),
    Column("committed_at_ms", BigInteger, nullable=False),
    Index("outbox_by_order", "xact_id", "id"),
    sqlite_autoincrement=True,
)

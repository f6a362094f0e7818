"""Clients' writes: batches with a ledger, so that each is counted once however often it is sent."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, insert, select, update

from finstage_market.columns import Int64s
from finstage_market.errors import PreconditionFailed, Reason
from finstage_runtime.clock import Clock
from services.ingest.clock import now_ms
from services.ingest.hours.grid import GRIDS
from services.ingest.hours.zones import zone_of
from services.ingest.series import BarFlag, Gap, GapReason, RejectedRow, RejectReason, SeriesKey
from services.ingest.store import annotations
from services.ingest.store.adjust import paid_ms
from services.ingest.store.bar_writer import BarWriter
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import Database
from services.ingest.store.diff import Bars
from services.ingest.store.errors import key_reused
from services.ingest.store.instruments import read_instrument
from services.ingest.store.metrics import StoreMetrics
from services.ingest.store.open_series import OpenSeries
from services.ingest.store.ownership import Origin
from services.ingest.store.reading import read_events
from services.ingest.store.rejections import keep_rejected, rejected_of_batch
from services.ingest.store.schema import read_counts, write_batches, writes
from services.ingest.store.strays import without_strays
from services.ingest.store.values import (
    Batch,
    BatchResult,
    RowCounts,
    WriteHeader,
    WriteMode,
    WriteProgress,
)
from services.ingest.store.write_plan import Write, WritePlan
from services.ingest.validate import as_text, jumps

MAX_ANSWERED_REJECTIONS = 20
# A range without bars of up to this length between two batches is taken for holidays, not for a gap.
_MAX_HOLIDAYS_MS = 10 * 86_400_000
_CROWDED = (
    "that day, week or month has a bar already, sent before it or stored with another stamp; "
    "send one bar, with the stored stamp"
)


class ClientWriter:
    """Writes what clients send."""

    def __init__(self, database: Database, clock: Clock, commits: CommitLog, metrics: StoreMetrics) -> None:
        self._database = database
        self._clock = clock
        self._commits = commits
        self._metrics = metrics

    def open(self, header: WriteHeader) -> WriteProgress:
        """Begin a client's write, or return where it stands.

        Raises:
            AlreadyExists: KEY_REUSED: the key was used before with another mode or source.
        """
        at_ms = now_ms(self._clock)
        with self._database.write() as connection:
            self._database.lock(connection, [_lock_name(header)])
            row = _find(connection, header)
            if row is None:
                values = {
                    "idempotency_key": header.idempotency_key,
                    "mode": header.mode.value,
                    "source": header.source,
                    "next_sequence": 1,
                    "created_at_ms": at_ms,
                    "updated_at_ms": at_ms,
                }
                connection.execute(insert(writes).values(values))
                return WriteProgress(1, RowCounts())
            connection.execute(update(writes).where(writes.c.id == row.id).values(updated_at_ms=at_ms))
            return WriteProgress(row.next_sequence, read_counts(row))

    def write(self, header: WriteHeader, batches: Sequence[Batch]) -> list[BatchResult]:
        """Write batches, in order of sequence, with counts, ledger, versions and refused rows, in one
        transaction. Batches that were committed before are not written again.

        Raises:
            PreconditionFailed: OUT_OF_SEQUENCE: a batch before them is missing, or the write was not opened.
            AlreadyExists: KEY_REUSED: a repeated batch has other content than before.
        """
        with self._metrics.seconds.labels("client").time():
            results, has_commits = self._write(header, batches)
            if has_commits:
                self._commits.announce()
        self._metrics.count("client", (result.rows for result in results if not result.repeated))
        return results

    def _write(self, header: WriteHeader, batches: Sequence[Batch]) -> tuple[list[BatchResult], bool]:
        at_ms = now_ms(self._clock)
        results = []
        with self._database.write() as connection:
            symbols = {batch.key.symbol for batch in batches if batch.key is not None}
            self._database.lock(connection, [_lock_name(header), *symbols])
            row = _find(connection, header)
            if row is None:
                raise PreconditionFailed(Reason.OUT_OF_SEQUENCE, "this write was never opened")
            writer = BarWriter(self._database, connection, now_ms=at_ms)
            ledger = _Ledger(connection, row)
            writer.open(batch.key for batch in batches if batch.key is not None)
            for batch in batches:
                if repeated := ledger.repeated(batch):
                    results.append(repeated)
                    continue
                result, rejected = _write(connection, writer, header, batch, write_id=row.id, now_ms=at_ms)
                keep_rejected(
                    connection,
                    rejected,
                    symbol=batch.symbol,
                    interval=batch.interval,
                    source=header.source,
                    now_ms=at_ms,
                    write_id=row.id,
                    sequence=batch.sequence,
                )
                ledger.add(batch, result)
                results.append(result)
            writer.flush()
            ledger.save(at_ms)
        return results, writer.has_commits


class _Ledger:
    """The committed batches of one write, and those that this transaction adds."""

    def __init__(self, connection: Connection, row: Row[Any]) -> None:
        self._connection = connection
        self._id = row.id
        self._key = row.idempotency_key
        self._next = row.next_sequence
        self._rows = read_counts(row)
        self._new: list[dict[str, Any]] = []
        self._results: dict[int, tuple[bytes, BatchResult]] = {}

    def repeated(self, batch: Batch) -> BatchResult | None:
        """Return the result of a batch that was committed before; None: it is the next one.

        Raises:
            PreconditionFailed: OUT_OF_SEQUENCE: a batch before it is missing.
            AlreadyExists: KEY_REUSED: it had other content before.
        """
        if batch.sequence > self._next:
            raise PreconditionFailed(
                Reason.OUT_OF_SEQUENCE, f"batch {batch.sequence} was sent; send batch {self._next} next"
            )
        if batch.sequence == self._next:
            return None
        digest, result = self._results.get(batch.sequence) or self._committed(batch.sequence)
        if digest != batch.digest:
            raise key_reused(
                "idempotency_key", self._key, f"already has batch {batch.sequence}, with other content"
            )
        return replace(result, repeated=True)

    def _committed(self, sequence: int) -> tuple[bytes, BatchResult]:
        """Return the digest and the result of a batch of an earlier transaction."""
        ours = write_batches.c.write_id == self._id, write_batches.c.sequence == sequence
        row = self._connection.execute(select(write_batches).where(*ours)).one()
        rejected = rejected_of_batch(self._connection, self._id, sequence, limit=MAX_ANSWERED_REJECTIONS)
        return row.digest, BatchResult(
            sequence, read_counts(row), row.epoch, row.revision, rejected, repeated=True
        )

    def add(self, batch: Batch, result: BatchResult) -> None:
        """Add a batch and its result."""
        self._next += 1
        self._results[batch.sequence] = batch.digest, result
        self._rows += result.rows
        self._new.append(
            {
                "write_id": self._id,
                "sequence": batch.sequence,
                "digest": batch.digest,
                "epoch": result.epoch,
                "revision": result.revision,
                **asdict(result.rows),
            }
        )

    def save(self, now_ms: int) -> None:
        """Write the ledger, in the transaction of the bars."""
        if self._new:
            self._connection.execute(insert(write_batches), self._new)
            changes = {"next_sequence": self._next, "updated_at_ms": now_ms, **asdict(self._rows)}
            self._connection.execute(update(writes).where(writes.c.id == self._id).values(changes))


def _write(
    connection: Connection,
    writer: BarWriter,
    header: WriteHeader,
    batch: Batch,
    *,
    write_id: int,
    now_ms: int,
) -> tuple[BatchResult, list[RejectedRow]]:
    """Write one batch's bars; returns the result and all its refused rows."""
    epoch = revision = target = None
    if batch.key is not None:
        target = writer.open([batch.key])[batch.key]
        batch = replace(batch, bars=without_strays(batch.bars, target.extent))
    bars = batch.bars
    refused, rejected = batch.sent - len(bars.columns), list(bars.rejected)
    rows = RowCounts(sent=refused, rejected=refused)
    if batch.key is not None and target is not None:
        events = () if bars.adjusted_close is None else read_events(connection, batch.key.symbol)
        flags = bars.flags
        if len(bars.columns):
            times, closes = bars.columns.open_time_ms[:1], bars.columns.close[:1]
            before = writer.close_before(target, int(times[0]))
            flags += tuple(jumps(times, np.array([before or 0.0, closes[0]])))
        write = Write(
            Bars(bars.columns, bars.adjusted_close),
            Origin(write_id, _end_ms(batch.key, bars.columns.open_time_ms) - 1, paid_ms(events)),
            last_is_final=bars.last_is_final,
            mode=header.mode,
            zone=_zone(connection, batch.key),
        )
        done = writer.write(target, write)
        rows += done.counts
        rejected += _refused(header.mode, batch, done)
        if not done.rejected.all():
            _annotate(connection, target, header, done, flags, now_ms=now_ms)
        if target.revision:
            epoch, revision = target.epoch, target.revision
    rejected.sort(key=lambda refused: refused.row)
    first = tuple(rejected[:MAX_ANSWERED_REJECTIONS])
    return BatchResult(batch.sequence, rows, epoch, revision, first, repeated=False), rejected


def _zone(connection: Connection, key: SeriesKey) -> tzinfo | None:
    """Return the exchange's time zone where days matter; None: it is not known, or does not matter."""
    instrument = None if GRIDS[key.interval].is_intraday else read_instrument(connection, key.symbol)
    return None if instrument is None else zone_of(instrument.time_zone)


def _refused(mode: WriteMode, batch: Batch, done: WritePlan) -> list[RejectedRow]:
    """Return the rows that the mode did not allow, or whose day, week or month has a bar already."""
    reason, detail = RejectReason.CONFLICT, "mode INSERT, and the bar exists already"
    if mode is WriteMode.UPDATE:
        reason, detail = RejectReason.ABSENT, "mode UPDATE, and the bar does not exist"
    columns, places = batch.bars.columns, batch.bars.source_rows
    return [
        RejectedRow(
            row=i if places is None else int(places[i]),
            open_time_ms=int(columns.open_time_ms[i]),
            reason=RejectReason.OFF_GRID if done.crowded[i] else reason,
            detail=_CROWDED if done.crowded[i] else detail,
            values=as_text(columns, i, batch.bars.adjusted_close),
        )
        for i in np.flatnonzero(done.rejected).tolist()
    ]


def _annotate(
    connection: Connection,
    target: OpenSeries,
    header: WriteHeader,
    done: WritePlan,
    flags: Sequence[BarFlag],
    *,
    now_ms: int,
) -> None:
    """Update gaps, flags, source and coverage for the written bars."""
    times = done.bars.times[~done.rejected]
    start_ms, end_ms = int(times[0]), min(_end_ms(target.key, times), now_ms)
    if target.covered is None:
        pass
    elif start_ms > target.covered[1] + _MAX_HOLIDAYS_MS:
        between = Gap(target.covered[1], start_ms, GapReason.NOT_FETCHED)
        annotations.add_gap(connection, target.create(connection), between)
    elif end_ms < target.covered[0] - _MAX_HOLIDAYS_MS:
        between = Gap(end_ms, target.covered[0], GapReason.NOT_FETCHED)
        annotations.add_gap(connection, target.create(connection), between)
    elif start_ms < target.covered[1] and end_ms > target.covered[0]:
        annotations.fill_gaps(
            connection, target.create(connection), times, length_ms=target.key.interval.nominal_ms
        )
    if flags or done.updated.any():
        changed = done.bars.times[done.inserted | done.updated]
        annotations.renew_flags(connection, target.create(connection), changed, flags)
    target.came_from(header.source)
    target.covers(start_ms, end_ms)
    target.as_of_ms = max(end_ms, target.as_of_ms or end_ms)


def _end_ms(key: SeriesKey, times: Int64s) -> int:
    """Return the end, in UTC, of the last bar that opens at `times`; 0: there are none."""
    return GRIDS[key.interval].end_ms(int(times[-1]), UTC) if len(times) else 0


def _find(connection: Connection, header: WriteHeader) -> Row[Any] | None:
    """Return the write with that key.

    Raises:
        AlreadyExists: KEY_REUSED: it has another mode or source.
    """
    row = connection.execute(select(writes).where(writes.c.idempotency_key == header.idempotency_key)).first()
    if row is not None and (row.mode, row.source) != (header.mode.value, header.source):
        raise key_reused(
            "idempotency_key",
            header.idempotency_key,
            f"was used before with mode {row.mode}, source {row.source}",
            {"source": row.source, "mode": row.mode},
        )
    return row


def _lock_name(header: WriteHeader) -> str:
    return f"write {header.idempotency_key}"  # no symbol has a blank

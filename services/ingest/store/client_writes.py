"""Clients' writes: batches with a ledger, so that each is counted once however often it is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, and_, insert, select, update

from finstage_market.columns import Int64s
from finstage_market.errors import AlreadyExists, PreconditionFailed, Reason
from services.ingest.hours.grid import GRIDS
from services.ingest.series import BarFlag, Gap, GapReason, RejectedRow, RejectReason, SeriesKey
from services.ingest.store import annotations
from services.ingest.store.adjust import paid_ms
from services.ingest.store.bar_writer import BarWriter, Outcome
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import MAX_MS
from services.ingest.store.diff import Bars
from services.ingest.store.open_series import OpenSeries, open_series
from services.ingest.store.ownership import SOME_WRITE, Origin
from services.ingest.store.reading import read_events
from services.ingest.store.rejections import keep_rejected, rejected_of_batch
from services.ingest.store.schema import series, write_batches, writes
from services.ingest.store.values import (
    Batch,
    BatchResult,
    RowCounts,
    WriteHeader,
    WriteMode,
    WriteProgress,
)
from services.ingest.validate import as_text, is_over, jumps

ANSWERED_REJECTIONS = 20
# A stretch without bars of up to this between two batches is a holiday, not something nobody wrote.
_CONTIGUOUS_MS = 10 * 86_400_000


class ClientWriting(CommitLog):
    """Writing what clients send."""

    def open_write(self, header: WriteHeader) -> WriteProgress:
        """As Store.open_write()."""
        with self._database.write() as connection:
            self._database.lock(connection, [_lock_name(header)])
            row = _find(connection, header)
            if row is None:
                now_ms = self._now_ms()
                values = {
                    "idempotency_key": header.idempotency_key,
                    "mode": header.mode.value,
                    "source": header.source,
                    "next_sequence": 1,
                    "created_at_ms": now_ms,
                    "updated_at_ms": now_ms,
                }
                connection.execute(insert(writes).values(values))
                return WriteProgress(1, RowCounts())
            continued = update(writes).where(writes.c.id == row.id).values(updated_at_ms=self._now_ms())
            connection.execute(continued)
            return WriteProgress(row.next_sequence, read_counts(row))

    def write_batches(self, header: WriteHeader, batches: Sequence[Batch]) -> list[BatchResult]:
        """As Store.write_batches()."""
        now_ms = self._now_ms()
        results = []
        with self._database.write() as connection:
            symbols = {batch.key.symbol for batch in batches if batch.key is not None}
            self._database.lock(connection, [_lock_name(header), *symbols])
            row = _find(connection, header)
            if row is None:
                raise PreconditionFailed(Reason.OUT_OF_SEQUENCE, "this write was never opened")
            writer = BarWriter(self._database, connection, now_ms=now_ms)
            ledger = _Ledger(connection, row)
            writer.open(batch.key for batch in batches if batch.key is not None)
            for batch in batches:
                if repeated := ledger.repeated(batch):
                    results.append(repeated)
                    continue
                result, rejected = _write(connection, writer, header, batch, write_id=row.id, now_ms=now_ms)
                keep_rejected(
                    connection,
                    rejected,
                    symbol=batch.symbol,
                    interval=batch.interval,
                    source=header.source,
                    now_ms=now_ms,
                    write_id=row.id,
                    sequence=batch.sequence,
                )
                ledger.add(batch, result)
                results.append(result)
            writer.flush()
            ledger.save(now_ms)
        if writer.has_commits:
            self._announce()
        return results

    def settle(self) -> None:
        """As Store.settle()."""
        now_ms = self._now_ms()
        forming = series.c.fetched_at_ms.is_(None), ~series.c.last_is_final
        with self._database.read() as connection:
            due = [each.key for each in open_series(connection, and_(*forming)) if _is_over(each, now_ms)]
        for key in due:
            with self._database.write() as connection:
                self._database.lock(connection, [key.symbol])
                writer = BarWriter(self._database, connection, now_ms=now_ms)
                target = writer.open([key])[key]
                if not target.extent.last_is_final and _is_over(target, now_ms):
                    # The same bar, and final.
                    origin = Origin(SOME_WRITE, 0, np.empty(0, dtype=np.int64))
                    writer.write(target, writer.last_before(target, MAX_MS), origin=origin)
                    writer.flush()
            if writer.has_commits:
                self._announce()


_CROWDED = "the series has a bar of that day, week or month already, stamped otherwise; its stamp is accepted"


def _is_over(target: OpenSeries, now_ms: int) -> bool:
    last_ms = target.extent.last_ms
    return last_ms is not None and is_over(target.key.interval, last_ms, now_ms)


class _Ledger:
    """The batches of one write that are committed, and those that this transaction adds."""

    def __init__(self, connection: Connection, row: Row[Any]) -> None:
        self._connection = connection
        self._id = row.id
        self._key = row.idempotency_key
        self._next = row.next_sequence
        self._rows = read_counts(row)
        self._new: list[dict[str, Any]] = []
        self._results: dict[int, tuple[bytes, BatchResult]] = {}

    def repeated(self, batch: Batch) -> BatchResult | None:
        """What became of a batch that was committed before; None: it is the next one.

        Raises:
            PreconditionFailed: OUT_OF_SEQUENCE: a batch before it is missing.
            AlreadyExists: KEY_REUSED: it had other content then.
        """
        if batch.sequence > self._next:
            raise PreconditionFailed(
                Reason.OUT_OF_SEQUENCE, f"batch {self._next} comes next, not {batch.sequence}"
            )
        if batch.sequence == self._next:
            return None
        digest, result = self._results.get(batch.sequence) or self._committed(batch.sequence)
        if digest != batch.digest:
            raise key_reused(
                "idempotency_key", self._key, f"has batch {batch.sequence} already, with other content"
            )
        return replace(result, repeated=True)

    def _committed(self, sequence: int) -> tuple[bytes, BatchResult]:
        """The content of a batch of an earlier transaction, and what became of it."""
        ours = write_batches.c.write_id == self._id, write_batches.c.sequence == sequence
        row = self._connection.execute(select(write_batches).where(*ours)).one()
        rejected = rejected_of_batch(self._connection, self._id, sequence, limit=ANSWERED_REJECTIONS)
        return row.digest, BatchResult(
            sequence, read_counts(row), row.epoch, row.revision, rejected, repeated=True
        )

    def add(self, batch: Batch, result: BatchResult) -> None:
        """Count a batch."""
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
                **count_columns(result.rows),
            }
        )

    def save(self, now_ms: int) -> None:
        """Write it, in the transaction of the bars."""
        if self._new:
            self._connection.execute(insert(write_batches), self._new)
            changes = {"next_sequence": self._next, "updated_at_ms": now_ms, **count_columns(self._rows)}
            self._connection.execute(update(writes).where(writes.c.id == self._id).values(changes))


def read_counts(row: Row[Any]) -> RowCounts:
    """The counts of a row of a table that has them."""
    return RowCounts(row.sent, row.inserted, row.updated, row.unchanged, row.rejected)


def count_columns(rows: RowCounts) -> dict[str, int]:
    """The counts as values of such a row."""
    return {
        "sent": rows.sent,
        "inserted": rows.inserted,
        "updated": rows.updated,
        "unchanged": rows.unchanged,
        "rejected": rows.rejected,
    }


def key_reused(
    resource_type: str, name: str, how: str, metadata: Mapping[str, str] | None = None
) -> AlreadyExists:
    """A name that a client chose came before with other content."""
    message = f"{resource_type} {name} {how}"
    return AlreadyExists(
        Reason.KEY_REUSED, message, resource_type=resource_type, resource_name=name, metadata=metadata
    )


def _write(
    connection: Connection,
    writer: BarWriter,
    header: WriteHeader,
    batch: Batch,
    *,
    write_id: int,
    now_ms: int,
) -> tuple[BatchResult, list[RejectedRow]]:
    """Write one batch's bars; returns also all its refused rows."""
    refused, rejected = batch.sent - len(batch.columns), list(batch.rejected)
    rows = RowCounts(sent=refused, rejected=refused)
    epoch = revision = None
    if batch.key is not None:
        target = writer.open([batch.key])[batch.key]
        events = () if batch.adjusted_close is None else read_events(connection, batch.key.symbol)
        flags = batch.flags
        if len(batch.columns):
            times, closes = batch.columns.open_time_ms[:1], batch.columns.close[:1]
            before = writer.close_before(target, int(times[0]))
            flags += tuple(jumps(times, np.array([before or 0.0, closes[0]])))
        outcome = writer.write(
            target,
            Bars(batch.columns, batch.adjusted_close),
            origin=Origin(write_id, _end_ms(batch.key, batch.columns.open_time_ms) - 1, paid_ms(events)),
            last_is_final=batch.last_is_final,
            mode=header.mode,
        )
        rows += outcome.counts
        rejected += _refused(header.mode, batch, outcome)
        if not outcome.rejected.all():
            _annotate(connection, target, header, batch, flags, outcome, now_ms=now_ms)
        if target.revision:
            epoch, revision = target.epoch, target.revision
    rejected.sort(key=lambda refused: refused.row)
    first = tuple(rejected[:ANSWERED_REJECTIONS])
    return BatchResult(batch.sequence, rows, epoch, revision, first, repeated=False), rejected


def _refused(mode: WriteMode, batch: Batch, outcome: Outcome) -> list[RejectedRow]:
    """The rows that the mode did not allow, or whose day, week or month has a bar already."""
    reason, detail = RejectReason.CONFLICT, "mode INSERT, and the bar is there already"
    if mode is WriteMode.UPDATE:
        reason, detail = RejectReason.ABSENT, "mode UPDATE, and there is no such bar"
    columns, places = batch.columns, batch.source_rows
    return [
        RejectedRow(
            row=i if places is None else int(places[i]),
            open_time_ms=int(columns.open_time_ms[i]),
            reason=RejectReason.OFF_GRID if outcome.crowded[i] else reason,
            detail=_CROWDED if outcome.crowded[i] else detail,
            values=as_text(columns, i, batch.adjusted_close),
        )
        for i in np.flatnonzero(outcome.rejected).tolist()
    ]


def _annotate(
    connection: Connection,
    target: OpenSeries,
    header: WriteHeader,
    batch: Batch,
    flags: Sequence[BarFlag],
    outcome: Outcome,
    *,
    now_ms: int,
) -> None:
    """Keep what the written bars say of the series besides themselves."""
    times = batch.columns.open_time_ms[~outcome.rejected]
    start_ms, end_ms = int(times[0]), min(_end_ms(target.key, times), now_ms)
    if target.covered is None:
        pass
    elif start_ms > target.covered[1] + _CONTIGUOUS_MS:
        between = Gap(target.covered[1], start_ms, GapReason.NOT_FETCHED)
        annotations.add_gap(connection, target.create(connection), between)
    elif end_ms < target.covered[0] - _CONTIGUOUS_MS:
        between = Gap(end_ms, target.covered[0], GapReason.NOT_FETCHED)
        annotations.add_gap(connection, target.create(connection), between)
    elif start_ms < target.covered[1] and end_ms > target.covered[0]:
        annotations.fill_gaps(
            connection, target.create(connection), times, length_ms=target.key.interval.nominal_ms
        )
    if flags or outcome.updated.any():
        changed = batch.columns.open_time_ms[outcome.inserted | outcome.updated]
        annotations.renew_flags(connection, target.create(connection), changed, flags)
    target.came_from(header.source)
    target.covers(start_ms, end_ms)
    target.as_of_ms = max(end_ms, target.as_of_ms or end_ms)


def _end_ms(key: SeriesKey, times: Int64s) -> int:
    """The end of what bars that open at `times` cover; of no time zone."""
    return GRIDS[key.interval].end_ms(int(times[-1]), UTC) if len(times) else 0


def _find(connection: Connection, header: WriteHeader) -> Row[Any] | None:
    """The write of that key.

    Raises:
        AlreadyExists: KEY_REUSED: it has another mode or source.
    """
    row = connection.execute(select(writes).where(writes.c.idempotency_key == header.idempotency_key)).first()
    if row is not None and (row.mode, row.source) != (header.mode.value, header.source):
        raise key_reused(
            "idempotency_key",
            header.idempotency_key,
            f"came before with mode {row.mode}, source {row.source}",
            {"source": row.source, "mode": row.mode},
        )
    return row


def _lock_name(header: WriteHeader) -> str:
    return f"write {header.idempotency_key}"  # no symbol has a blank

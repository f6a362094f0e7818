"""Refused rows: kept with their reason, and listed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from finstage_market.interval import Interval
from services.ingest.series import RejectedRow, RejectReason, SeriesKey
from services.ingest.store.database import Database
from services.ingest.store.schema import rejected_rows
from services.ingest.store.values import StoredRejection

_MAX_INSERT_ROWS = 5000


class Rejections:
    """Lists refused rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self,
        *,
        symbol: str | None = None,
        interval: Interval | None = None,
        source: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> tuple[StoredRejection, ...]:
        """Return refused rows, newest first.

        before_id: continue after the row with that id.
        """
        query = select(rejected_rows).order_by(rejected_rows.c.id.desc()).limit(limit)
        if symbol is not None:
            query = query.where(rejected_rows.c.symbol == symbol)
        if interval is not None:
            query = query.where(rejected_rows.c.interval == interval.value)
        if source is not None:
            query = query.where(rejected_rows.c.source == source)
        if before_id is not None:
            query = query.where(rejected_rows.c.id < before_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            StoredRejection(
                id=row.id,
                symbol=row.symbol,
                interval=None if row.interval is None else Interval(row.interval),
                row=_rejected(row),
                source=row.source,
                rejected_at_ms=row.rejected_at_ms,
            )
            for row in rows
        )


def keep_rejected(
    connection: Connection,
    rows: Sequence[RejectedRow],
    *,
    symbol: str,
    interval: Interval | None,
    source: str,
    now_ms: int,
    write_id: int | None = None,
    sequence: int | None = None,
) -> None:
    """Keep refused rows."""
    for start in range(0, len(rows), _MAX_INSERT_ROWS):
        values = [
            {
                "symbol": symbol,
                "interval": None if interval is None else interval.value,
                "open_time_ms": row.open_time_ms,
                "row_number": row.row,
                "reason": row.reason.value,
                "detail": row.detail,
                "sent_values": row.values,
                "source": source,
                "rejected_at_ms": now_ms,
                "write_id": write_id,
                "sequence": sequence,
            }
            for row in rows[start : start + _MAX_INSERT_ROWS]
        ]
        connection.execute(insert(rejected_rows), values)


def not_kept_yet(
    connection: Connection, key: SeriesKey, rows: Sequence[RejectedRow], *, source: str
) -> list[RejectedRow]:
    """Return the rows that no earlier fetch brought: each refresh meets the same bad bar again."""
    if not rows:
        return []
    times = [row.open_time_ms for row in rows]
    query = select(rejected_rows.c.open_time_ms, rejected_rows.c.reason, rejected_rows.c.sent_values).where(
        rejected_rows.c.symbol == key.symbol,
        rejected_rows.c.interval == key.interval.value,
        rejected_rows.c.source == source,
        # A range, and the rows compared here: a statement may not have a condition for each row.
        rejected_rows.c.open_time_ms.between(min(times), max(times)),
    )
    known = {tuple(row) for row in connection.execute(query)}
    return [row for row in rows if (row.open_time_ms, row.reason.value, row.values) not in known]


def rejected_of_batch(
    connection: Connection, write_id: int, sequence: int, *, limit: int
) -> tuple[RejectedRow, ...]:
    """Return the first refused rows of a client's batch."""
    query = (
        select(rejected_rows)
        .where(rejected_rows.c.write_id == write_id, rejected_rows.c.sequence == sequence)
        .order_by(rejected_rows.c.id)
        .limit(limit)
    )
    return tuple(_rejected(row) for row in connection.execute(query))


def _rejected(row: Row[Any]) -> RejectedRow:
    return RejectedRow(
        row=row.row_number,
        open_time_ms=row.open_time_ms,
        reason=RejectReason(row.reason),
        detail=row.detail,
        values=row.sent_values,
    )

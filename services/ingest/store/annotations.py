"""Gaps and flags: what is known of a series besides its bars."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, and_, delete, func, insert, select

from finstage_market.columns import Int64s
from services.ingest.series import BarFlag, FlagReason, Gap, GapReason
from services.ingest.store import gaps as gap_rules
from services.ingest.store.schema import flags, gaps

_MAX_PARAMETERS = 5000


def replace_annotations(
    connection: Connection,
    series_id: int,
    *,
    start_ms: int,
    end_ms: int,
    new_gaps: Sequence[Gap],
    new_flags: Sequence[BarFlag],
) -> None:
    """Replace the gaps and flags of [start, end)."""
    stored = _gaps(connection, series_id, start_ms, end_ms)
    kept = [rest for gap in stored for rest in gap_rules.cut(gap, start_ms, end_ms)]
    if [*kept, *new_gaps] != stored:
        _put_gaps(connection, series_id, stored, [*kept, *new_gaps])
    old_flags = read_flags(connection, series_id, start_ms=start_ms, end_ms=end_ms, limit=None)
    if set(old_flags) != set(new_flags):
        within = and_(
            flags.c.series_id == series_id, flags.c.open_time_ms >= start_ms, flags.c.open_time_ms < end_ms
        )
        connection.execute(delete(flags).where(within))
        put_flags(connection, series_id, new_flags)


def fill_gaps(connection: Connection, series_id: int, times: Int64s, *, length_ms: int) -> None:
    """Remove written bars from the gaps. times: their open times, in order."""
    stored = _gaps(connection, series_id, int(times[0]), int(times[-1]) + 1)
    remaining = gap_rules.cut_by_bars(stored, times, length_ms)
    if remaining != stored:
        _put_gaps(connection, series_id, stored, remaining)


def add_gap(connection: Connection, series_id: int, gap: Gap) -> None:
    """Add a gap that touches no other."""
    _put_gaps(connection, series_id, [], [gap])


def renew_flags(connection: Connection, series_id: int, changed: Int64s, new: Sequence[BarFlag]) -> None:
    """Replace the flags of the bars that were written at the times `changed` with `new`."""
    times = {*changed.tolist(), *(flag.open_time_ms for flag in new)}
    stored = read_flags(connection, series_id, start_ms=min(times), end_ms=max(times) + 1, limit=None)
    _delete_at(
        connection,
        flags.c.open_time_ms,
        series_id,
        [f.open_time_ms for f in stored if f.open_time_ms in times],
    )
    put_flags(connection, series_id, new)


def put_flags(connection: Connection, series_id: int, new: Iterable[BarFlag]) -> None:
    """Add flags that are not stored yet."""
    rows = {
        (flag.open_time_ms, flag.reason): {
            "series_id": series_id,
            "open_time_ms": flag.open_time_ms,
            "reason": flag.reason.value,
            "detail": flag.detail,
        }
        for flag in new
    }
    if rows:
        connection.execute(insert(flags), list(rows.values()))


def read_gaps(
    connection: Connection, series_id: int, *, start_ms: int, end_ms: int, limit: int
) -> tuple[list[Gap], int]:
    """Return the newest gaps that touch [start, end), in order of time, and the number of older ones."""
    within = _touching(series_id, start_ms, end_ms)
    rows = connection.execute(select(gaps).where(within).order_by(gaps.c.start_ms.desc()).limit(limit)).all()
    left_out = 0
    if len(rows) == limit:
        total = connection.execute(select(func.count()).select_from(gaps).where(within)).scalar_one()
        left_out = total - limit
    return [_gap(row) for row in reversed(rows)], left_out


def read_flags(
    connection: Connection, series_id: int, *, start_ms: int, end_ms: int, limit: int | None
) -> list[BarFlag]:
    """Return the newest flags in [start, end), in order of time."""
    query = (
        select(flags)
        .where(
            flags.c.series_id == series_id, flags.c.open_time_ms >= start_ms, flags.c.open_time_ms < end_ms
        )
        .order_by(flags.c.open_time_ms.desc(), flags.c.reason.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return [BarFlag(row.open_time_ms, FlagReason(row.reason), row.detail) for row in reversed(rows)]


def _touching(series_id: int, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return and_(gaps.c.series_id == series_id, gaps.c.start_ms < end_ms, gaps.c.end_ms > start_ms)


def _gaps(connection: Connection, series_id: int, start_ms: int, end_ms: int) -> list[Gap]:
    query = select(gaps).where(_touching(series_id, start_ms, end_ms)).order_by(gaps.c.start_ms)
    return [_gap(row) for row in connection.execute(query)]


def _gap(row: Row[Any]) -> Gap:
    return Gap(row.start_ms, row.end_ms, GapReason(row.reason), row.missing_bars, row.detail)


def _put_gaps(connection: Connection, series_id: int, old: Sequence[Gap], new: Sequence[Gap]) -> None:
    _delete_at(connection, gaps.c.start_ms, series_id, [gap.start_ms for gap in old])
    rows = [
        {
            "series_id": series_id,
            "start_ms": gap.start_ms,
            "end_ms": gap.end_ms,
            "reason": gap.reason.value,
            "missing_bars": gap.missing_bars,
            "detail": gap.detail,
        }
        for gap in new
    ]
    if rows:
        connection.execute(insert(gaps), rows)


def _delete_at(connection: Connection, time: Column[int], series_id: int, times: Sequence[int]) -> None:
    """Delete the rows of a series, in the table of the column `time`, that have one of these times."""
    for start in range(0, len(times), _MAX_PARAMETERS):
        within = time.in_(times[start : start + _MAX_PARAMETERS])
        connection.execute(delete(time.table).where(time.table.c.series_id == series_id, within))

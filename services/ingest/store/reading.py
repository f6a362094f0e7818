"""Reads series: one snapshot per call, columns from the driver to NumPy without a loop."""

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, select

from finstage_market.columns import Columns
from finstage_market.errors import Reason, Unavailable
from services.ingest.series import Event, EventKind, Gap, GapReason, SeriesKey, SeriesState
from services.ingest.store import annotations
from services.ingest.store.adjust import Dividend, adjusted, dividends
from services.ingest.store.database import MAX_MS, MIN_MS, Database
from services.ingest.store.instruments import read_instrument
from services.ingest.store.open_series import OpenSeries, has_key, open_series
from services.ingest.store.ownership import adjusted_to_ms, client_owned
from services.ingest.store.schema import events
from services.ingest.store.values import Adjustment, ChunkedRead, CoverageRead, SeriesRead

# Of the gaps of a range, and of its flags; the newest are kept.
MAX_ANNOTATIONS = 1000


class BarReader:
    """Reads bars and what is known of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self, key: SeriesKey) -> SeriesState | None:
        """Return what is held of a series; None: there is no such series. A series may have no bars."""
        with self._database.read() as connection:
            found = _find(connection, key)
            return None if found is None else found.state

    def read(
        self,
        key: SeriesKey,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
        adjustment: Adjustment = "SPLITS",
    ) -> SeriesRead | None:
        """Return the newest `limit` bars that opened in [start_ms, end_ms); None: there is no such series.

        Adjustment ALL lowers prices for later dividends: by the stored adjusted close where there is one,
        else by the stored dividends. Volumes stay. For long ranges use read_chunks().
        """
        with self._database.read() as connection:
            found = _find(connection, key)
            if found is None or found.id is None:
                return None
            bars = self._database.bars_between(
                connection,
                found.table,
                found.id,
                start_ms=_or(start_ms, MIN_MS),
                end_ms=_or(end_ms, MAX_MS),
                limit=limit,
                newest=limit is not None,
                with_adjusted=adjustment == "ALL",
            )
            ownership, columns = found.read_ownership(connection), bars.columns
            if adjustment == "ALL":
                assert bars.adjusted_close is not None
                known_to = adjusted_to_ms(ownership, bars.times)
                known = len(bars) > 0 and not np.isnan(bars.adjusted_close).any()
                paid = self._dividends(connection, found, after_ms=int(known_to.min()) if known else None)
                columns = adjusted(bars, paid, known_to)
        has_last = len(columns) > 0 and int(columns.open_time_ms[-1]) == found.extent.last_ms
        is_final = found.extent.last_is_final or not has_last
        return SeriesRead(found.state, columns, is_final, client_owned(ownership, bars.times))

    def read_chunks(
        self,
        key: SeriesKey,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
        adjustment: Adjustment = "SPLITS",
        chunk_rows: int = 16_384,
    ) -> ChunkedRead | None:
        """Return as read(), in chunks of at most chunk_rows bars of one version: memory stays bounded.

        Each chunk is read when it is asked for, and no connection is held in between. When the series is
        restated before the last chunk is read, the next one raises Unavailable (SERVICE_UNAVAILABLE): read
        the series again.
        """
        with self._database.read() as connection:
            found = _find(connection, key)
            if found is None:
                return None
            first, end, last = _or(start_ms, MIN_MS), _or(end_ms, MAX_MS), found.extent.last_ms
            if limit is not None:
                first = self._newest_start(connection, found, first, end, limit)
            paid = self._dividends(connection, found) if adjustment == "ALL" else None
            chunk = self._chunk(connection, found, first, end, chunk_rows, paid)
            newest = None
            reaches_last = last is not None and first <= last < end
            if last is not None and reaches_last and len(chunk) == chunk_rows:
                # While the epoch stays, all bars but a forming last one stay the same: read that one now.
                if chunk.open_time_ms[-1] < last:
                    newest = self._chunk(connection, found, last, last + 1, 1, paid)
                end = last
            return ChunkedRead(
                state=found.state,
                coverage=_coverage(connection, found, start_ms, end_ms),
                instrument=read_instrument(connection, key.symbol),
                chunks=self._chunks(found, chunk, newest, end, chunk_rows, paid),
                last_is_final=found.extent.last_is_final or not reaches_last,
            )

    def coverage(
        self, key: SeriesKey, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> CoverageRead:
        """Return the gaps and flags in [start_ms, end_ms), of each the newest 1,000. None: no bound."""
        with self._database.read() as connection:
            return _coverage(connection, _find(connection, key), start_ms, end_ms)

    def events(self, symbol: str) -> tuple[Event, ...]:
        """Return the corporate actions known for a symbol, in order of time."""
        with self._database.read() as connection:
            return read_events(connection, symbol)

    def _chunks(
        self,
        found: OpenSeries,
        chunk: Columns,
        newest: Columns | None,
        end_ms: int,
        chunk_rows: int,
        paid: Sequence[Dividend] | None,
    ) -> Iterator[Columns]:
        """Yield the first chunk, then those after it, each read in its own transaction, then `newest`."""
        while len(chunk):
            yield chunk
            start_ms = int(chunk.open_time_ms[-1]) + 1
            if len(chunk) < chunk_rows or start_ms >= end_ms:
                break
            with self._database.read() as connection:
                now = _find(connection, found.key)
                if now is None or now.epoch != found.epoch:
                    raise Unavailable(
                        Reason.SERVICE_UNAVAILABLE, "the series was restated while it was read; read it again"
                    )
                chunk = self._chunk(connection, found, start_ms, end_ms, chunk_rows, paid)
        if newest is not None:
            yield newest

    def _chunk(
        self,
        connection: Connection,
        found: OpenSeries,
        start_ms: int,
        end_ms: int,
        limit: int,
        paid: Sequence[Dividend] | None,
    ) -> Columns:
        """Return the first `limit` bars of a range, adjusted for the dividends that are given."""
        assert found.id is not None
        bars = self._database.bars_between(
            connection,
            found.table,
            found.id,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=limit,
            with_adjusted=paid is not None,
        )
        if paid is None:
            return bars.columns
        return adjusted(bars, paid, adjusted_to_ms(found.read_ownership(connection), bars.times))

    def _newest_start(
        self, connection: Connection, found: OpenSeries, start_ms: int, end_ms: int, limit: int
    ) -> int:
        """Return the open time of the first of the newest `limit` bars in a range."""
        bars = found.table.c
        query = (
            select(bars.open_time_ms)
            .where(bars.series_id == found.id, bars.open_time_ms >= start_ms, bars.open_time_ms < end_ms)
            .order_by(bars.open_time_ms.desc())
            .offset(limit - 1)
            .limit(1)
        )
        at = connection.execute(query).scalar()
        return start_ms if at is None else int(at)

    def _dividends(
        self, connection: Connection, found: OpenSeries, *, after_ms: int | None = None
    ) -> list[Dividend]:
        """Return the dividends that lower the prices of a series; after_ms: only later ones."""
        instrument = read_instrument(connection, found.key.symbol)

        def close_before(before_ms: int) -> float | None:
            assert found.id is not None
            bars = self._database.bars_between(
                connection, found.table, found.id, end_ms=before_ms, limit=1, newest=True
            )
            return float(bars.columns.close[0]) if len(bars) else None

        return dividends(
            (e for e in read_events(connection, found.key.symbol) if e.time_ms > _or(after_ms, MIN_MS)),
            interval=found.key.interval,
            time_zone=instrument.time_zone if instrument else "",
            close_before=close_before,
        )


def read_events(connection: Connection, symbol: str) -> tuple[Event, ...]:
    """Return the corporate actions known for a symbol, in order of time."""
    query = select(events).where(events.c.symbol == symbol).order_by(events.c.time_ms, events.c.kind)
    return tuple(
        Event(EventKind(row.kind), row.time_ms, row.amount, row.numerator, row.denominator)
        for row in connection.execute(query)
    )


def _find(connection: Connection, key: SeriesKey) -> OpenSeries | None:
    found = open_series(connection, has_key(key))
    return found[0] if found else None


def _coverage(
    connection: Connection, found: OpenSeries | None, start_ms: int | None, end_ms: int | None
) -> CoverageRead:
    if found is None or found.id is None:
        return CoverageRead(tuple(_never_asked(None, start_ms, end_ms)), 0, ())
    start, end = _or(start_ms, MIN_MS), _or(end_ms, MAX_MS)
    gaps, left_out = annotations.read_gaps(
        connection, found.id, start_ms=start, end_ms=end, limit=MAX_ANNOTATIONS
    )
    flags = annotations.read_flags(connection, found.id, start_ms=start, end_ms=end, limit=MAX_ANNOTATIONS)
    gaps = sorted([*gaps, *_never_asked(found.covered, start_ms, end_ms)], key=lambda gap: gap.start_ms)
    left_out += max(0, len(gaps) - MAX_ANNOTATIONS)
    return CoverageRead(tuple(gaps[-MAX_ANNOTATIONS:]), left_out, tuple(flags))


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _never_asked(covered: tuple[int, int] | None, start_ms: int | None, end_ms: int | None) -> list[Gap]:
    """Return the parts of a range outside what was ever asked of a provider or written."""
    if covered is None:
        whole = start_ms is not None and end_ms is not None and start_ms < end_ms
        return [Gap(start_ms, end_ms, GapReason.NOT_FETCHED)] if whole else []  # type: ignore[arg-type]
    first, last = covered
    parts = []
    if start_ms is not None and start_ms < first:
        parts.append(Gap(start_ms, min(first, _or(end_ms, first)), GapReason.NOT_FETCHED))
    if end_ms is not None and end_ms > last:
        parts.append(Gap(max(last, _or(start_ms, last)), end_ms, GapReason.NOT_FETCHED))
    return parts

"""Keeping what a provider brought, in one transaction."""

from dataclasses import replace as but

import numpy as np
from sqlalchemy import Connection

from libs.market.interval import Interval
from services.ingest.series import Event, FetchedBars, Gap, GapReason
from services.ingest.store import annotations, corporate
from services.ingest.store.adjust import dividends, pays, product_after
from services.ingest.store.bar_writer import NO_BARS, BarWriter
from services.ingest.store.chunk_ledger import finish_chunk
from services.ingest.store.commits import CommitLog
from services.ingest.store.diff import Bars
from services.ingest.store.instruments import keep_instrument
from services.ingest.store.open_series import OpenSeries
from services.ingest.store.reading import read_events
from services.ingest.store.rejections import keep_rejected, not_kept_yet
from services.ingest.store.values import ChunkLease, RowCounts, WriteResult


class FetchedWriting(CommitLog):
    """Writing what a provider brought."""

    def write_fetched(
        self, fetched: FetchedBars, *, replace: bool = False, lease: ChunkLease | None = None
    ) -> WriteResult:
        """As Store.write_fetched()."""
        key, now_ms = fetched.key, self._now_ms()
        replaced = (fetched.start_ms, fetched.end_ms) if replace else None
        with self._database.write() as connection:
            self._database.lock(connection, [key.symbol])
            writer = BarWriter(self._database, connection, now_ms=now_ms)
            target = writer.open([key])[key]
            time_zone = keep_instrument(connection, fetched.instrument).time_zone
            # Daily replies have every event; those of other intervals may leave some out.
            merged = corporate.merge(
                read_events(connection, key.symbol),
                fetched.events,
                replaced=replaced if key.interval is Interval.D1 else None,
            )
            corporate.apply(connection, key.symbol, merged)
            outcome = writer.write(
                target,
                _on_stored_basis(writer, target, fetched, read_events(connection, key.symbol), time_zone),
                last_is_final=fetched.last_is_final,
                replaced=replaced,
                reads_changed_before_ms=_newest_dividend(merged.all),
            )
            if changed_before_ms := _newest_dividend(merged.all):
                for other in writer.open_all(key.symbol):
                    if other is not target:
                        writer.write(other, NO_BARS, reads_changed_before_ms=changed_before_ms)
            self._annotate(connection, target, fetched, now_ms=now_ms)
            rows = outcome.counts + RowCounts(sent=len(fetched.rejected), rejected=len(fetched.rejected))
            writer.flush()
            if lease is not None:
                finish_chunk(connection, lease, rows, fetched.columns, now_ms=now_ms)
        if writer.has_commits:
            self._announce()
        return WriteResult(target.state, rows, outcome.restated)

    def _annotate(
        self, connection: Connection, target: OpenSeries, fetched: FetchedBars, *, now_ms: int
    ) -> None:
        """Keep what came besides the bars."""
        series_id = target.create(connection)
        end_ms = max(fetched.start_ms, min(fetched.end_ms, fetched.fetched_at_ms))
        annotations.replace_annotations(
            connection,
            series_id,
            start_ms=fetched.start_ms,
            end_ms=fetched.end_ms,
            new_gaps=fetched.gaps,
            new_flags=fetched.flags,
        )
        if between := _between(target.covered, fetched.start_ms, end_ms):
            annotations.add_gap(connection, series_id, Gap(*between, GapReason.NOT_FETCHED))
        keep_rejected(
            connection,
            not_kept_yet(connection, fetched.key, fetched.rejected, source=fetched.source),
            symbol=fetched.key.symbol,
            interval=fetched.key.interval,
            source=fetched.source,
            now_ms=now_ms,
        )
        target.came_from(fetched.source)
        target.covers(fetched.start_ms, end_ms)
        target.fetched_at_ms = max(fetched.fetched_at_ms, target.fetched_at_ms or fetched.fetched_at_ms)
        if fetched.as_of_ms is not None:
            target.as_of_ms = max(fetched.as_of_ms, target.as_of_ms or fetched.as_of_ms)


def _on_stored_basis(
    writer: BarWriter,
    target: OpenSeries,
    fetched: FetchedBars,
    events: tuple[Event, ...],
    time_zone: str,
) -> Bars:
    """The fetched bars with adjusted closes that agree with the stored ones.

    A fetch of the newest bars knows dividends that the stored, older adjusted closes do not. What they did to
    the fetched ones is taken back; reading applies it to all.
    """
    bars = Bars(fetched.columns, fetched.adjusted_close)
    if fetched.adjusted_close is None or not len(bars):
        return bars
    known_at_ms, first_ms = target.adjusted_at_ms, target.extent.first_ms
    if known_at_ms is None or first_ms is None or int(bars.times[0]) <= first_ms:
        target.adjusted_at_ms = fetched.fetched_at_ms
        return bars

    def close_before(before_ms: int) -> float | None:
        at = int(np.searchsorted(bars.times, before_ms)) - 1
        return float(bars.columns.close[at]) if at >= 0 else writer.close_before(target, before_ms)

    news = dividends(
        (event for event in events if known_at_ms < event.time_ms <= fetched.fetched_at_ms),
        interval=fetched.key.interval,
        time_zone=time_zone,
        close_before=close_before,
    )
    return but(bars, adjusted_close=fetched.adjusted_close / product_after(bars.times, news))


def _newest_dividend(events: tuple[Event, ...]) -> int | None:
    """The time before which prices read differently when these dividends come or go."""
    return max((event.time_ms for event in events if pays(event)), default=None)


def _between(covered: tuple[int, int] | None, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """The stretch between what was covered and a range that does not touch it."""
    if covered is None or (start_ms <= covered[1] and end_ms >= covered[0]):
        return None
    return (covered[1], start_ms) if start_ms > covered[1] else (end_ms, covered[0])

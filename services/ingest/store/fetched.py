"""Writes what a provider brought, in one transaction."""

from sqlalchemy import Connection

from finstage_market.interval import Interval
from finstage_runtime.clock import Clock
from services.ingest.clock import now_ms
from services.ingest.hours.zones import zone_of
from services.ingest.series import Event, EventKind, FetchedBars, Gap, GapReason
from services.ingest.store import annotations, corporate
from services.ingest.store.adjust import paid_ms, pays
from services.ingest.store.bar_writer import BarWriter
from services.ingest.store.chunk_ledger import finish_chunk
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import Database
from services.ingest.store.diff import Bars
from services.ingest.store.instruments import keep_instrument
from services.ingest.store.metrics import StoreMetrics
from services.ingest.store.open_series import OpenSeries
from services.ingest.store.ownership import Origin
from services.ingest.store.reading import read_events
from services.ingest.store.rejections import keep_rejected, not_kept_yet
from services.ingest.store.values import ChunkLease, RowCounts, WriteResult
from services.ingest.store.write_plan import NO_BARS, Write


class FetchedWriter:
    """Writes what providers brought."""

    def __init__(self, database: Database, clock: Clock, commits: CommitLog, metrics: StoreMetrics) -> None:
        self._database = database
        self._clock = clock
        self._commits = commits
        self._metrics = metrics

    def write(
        self, fetched: FetchedBars, *, replace: bool = False, lease: ChunkLease | None = None
    ) -> WriteResult:
        """Keep all that a fetch brought, and when, in one transaction.

        Its gaps and flags replace those stored for its range. Refused rows count as sent and rejected.

        Args:
            replace: remove stored bars and events of the fetched range that the fetch does not have: for
                whole histories and restatements.
            lease: the chunk that this finishes, in the same transaction.

        Raises:
            LeaseLost: the lease is no longer the caller's; nothing was written.
        """
        with self._metrics.seconds.labels("provider").time():
            result, has_commits = self._write(fetched, replace=replace, lease=lease)
            if has_commits:
                self._commits.announce()
        self._metrics.count("provider", [result.rows])
        return result

    def _write(
        self, fetched: FetchedBars, *, replace: bool, lease: ChunkLease | None
    ) -> tuple[WriteResult, bool]:
        key, bars, at_ms = fetched.key, fetched.bars, now_ms(self._clock)
        replaced = (fetched.start_ms, fetched.end_ms) if replace else None
        with self._database.write() as connection:
            self._database.lock(connection, [key.symbol])
            writer = BarWriter(self._database, connection, now_ms=at_ms)
            target = writer.open([key])[key]
            keep_instrument(connection, fetched.instrument)
            # Daily replies have every event; those of other intervals may leave some out.
            merged = corporate.merge(
                read_events(connection, key.symbol),
                fetched.events,
                replaced=replaced if key.interval is Interval.D1 else None,
            )
            corporate.apply(connection, key.symbol, merged)
            changed_before_ms = _newest_dividend(merged.all)
            origin = Origin(
                write_id=None,
                adjusted_to_ms=_adjusted_to_ms(fetched),
                paid_ms=paid_ms(read_events(connection, key.symbol)),
                # A client's bars from before a split that it did not know are on another scale.
                replaces_clients=any(event.kind is EventKind.SPLIT for event in merged.all),
            )
            write = Write(
                Bars(bars.columns, bars.adjusted_close),
                origin,
                last_is_final=bars.last_is_final,
                replaced=replaced,
                reads_changed_before_ms=changed_before_ms,
                zone=zone_of(fetched.instrument.time_zone),
            )
            done = writer.write(target, write)
            if changed_before_ms:
                for other in writer.open_all(key.symbol):
                    if other is not target:
                        writer.write(other, Write(NO_BARS, reads_changed_before_ms=changed_before_ms))
            _annotate(connection, target, fetched, now_ms=at_ms)
            rows = done.counts + RowCounts(sent=len(bars.rejected), rejected=len(bars.rejected))
            writer.flush()
            if lease is not None:
                finish_chunk(connection, lease, rows, bars.columns, now_ms=at_ms)
        return WriteResult(target.state, rows, done.restated), writer.has_commits


def _annotate(connection: Connection, target: OpenSeries, fetched: FetchedBars, *, now_ms: int) -> None:
    """Keep what came besides the bars."""
    series_id = target.create(connection)
    end_ms = min(fetched.end_ms, fetched.fetched_at_ms)
    annotations.replace_annotations(
        connection,
        series_id,
        start_ms=fetched.start_ms,
        end_ms=fetched.end_ms,
        new_gaps=fetched.gaps,
        new_flags=fetched.bars.flags,
    )
    if between := _between(target.covered, fetched.start_ms, end_ms):
        annotations.add_gap(connection, series_id, Gap(*between, GapReason.NOT_FETCHED))
    keep_rejected(
        connection,
        not_kept_yet(connection, fetched.key, fetched.bars.rejected, source=fetched.source),
        symbol=fetched.key.symbol,
        interval=fetched.key.interval,
        source=fetched.source,
        now_ms=now_ms,
    )
    target.came_from(fetched.source)
    if fetched.start_ms < end_ms:
        target.covers(fetched.start_ms, end_ms)
    target.fetched_at_ms = max(fetched.fetched_at_ms, target.fetched_at_ms or fetched.fetched_at_ms)
    if fetched.as_of_ms is not None:
        target.as_of_ms = max(fetched.as_of_ms, target.as_of_ms or fetched.as_of_ms)


def _adjusted_to_ms(fetched: FetchedBars) -> int:
    """Return up to when the fetched adjusted closes include the dividends.

    The dividends of the same reply are included, even tomorrow's. A known event may have another time of day.
    """
    listed = [event.time_ms + corporate.SAME_EVENT_MS for event in fetched.events if pays(event)]
    return max([fetched.fetched_at_ms, *listed])


def _newest_dividend(events: tuple[Event, ...]) -> int | None:
    """Return the time before which prices read differently when these dividends come or go."""
    return max((event.time_ms for event in events if pays(event)), default=None)


def _between(covered: tuple[int, int] | None, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """Return the range between the covered one and another that does not touch it."""
    if covered is None or start_ms >= end_ms or (start_ms <= covered[1] and end_ms >= covered[0]):
        return None
    return (covered[1], start_ms) if start_ms > covered[1] else (end_ms, covered[0])

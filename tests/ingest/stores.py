"""Short ways to make bars, fetches and batches, for tests of the store."""

from collections.abc import Sequence

import numpy as np

from finstage_market.columns import Columns
from finstage_market.interval import Interval
from services.ingest.series import (
    BarFlag,
    CheckedBars,
    Event,
    FetchedBars,
    Gap,
    Instrument,
    RejectedRow,
    SeriesKey,
)
from services.ingest.store.api import Store
from services.ingest.store.values import Batch

DAY_MS = 86_400_000
T0_MS = 1_600_041_600_000  # 2020-09-14T00:00:00Z, a Monday
NOW_MS = 1_700_000_000_000
KEY = SeriesKey("AAPL", Interval.D1)


def day(i: int) -> int:
    """Return the open time of the i-th daily bar."""
    return T0_MS + i * DAY_MS


def bars(closes: dict[int, float]) -> Columns:
    """Return daily bars from a map of day number to close."""
    close = np.array(list(closes.values()), dtype=np.float64)
    return Columns.of([day(i) for i in closes], close, close + 1, close - 1, close, close * 10)


def closes(columns: Columns) -> dict[int, float]:
    """Return the map of day number to close: the inverse of bars()."""
    days = (columns.open_time_ms - T0_MS) // DAY_MS
    return dict(zip(days.tolist(), columns.close.tolist(), strict=True))


def tail(store: Store, key: SeriesKey, n: int) -> Columns:
    """Return the newest n bars of a series."""
    found = store.bars.read(key, limit=n)
    return Columns.empty() if found is None else found.columns


def fetched(
    columns: Columns,
    *,
    key: SeriesKey = KEY,
    first_day: int = 0,
    end_day: int | None = None,
    last_is_final: bool = True,
    adjusted: Sequence[float] | None = None,
    events: tuple[Event, ...] = (),
    gaps: tuple[Gap, ...] = (),
    flags: tuple[BarFlag, ...] = (),
    rejected: tuple[RejectedRow, ...] = (),
    fetched_at_ms: int = NOW_MS,
    source: str = "sim",
    instrument: Instrument | None = None,
) -> FetchedBars:
    """Return a fetch of [first_day, end_day); end_day defaults to the day after the last bar."""
    last = int(columns.open_time_ms[-1]) if len(columns) else day(first_day)
    return FetchedBars(
        key=key,
        start_ms=day(first_day),
        end_ms=last + DAY_MS if end_day is None else day(end_day),
        bars=CheckedBars(
            columns,
            None if adjusted is None else np.array(adjusted, dtype=np.float64),
            last_is_final=last_is_final,
            flags=flags,
            rejected=rejected,
        ),
        instrument=instrument or Instrument(key.symbol, time_zone="America/New_York", source=source),
        source=source,
        fetched_at_ms=fetched_at_ms,
        as_of_ms=last if len(columns) else None,
        gaps=gaps,
        events=events,
    )


def batch(
    sequence: int,
    columns: Columns,
    *,
    key: SeriesKey = KEY,
    last_is_final: bool = True,
    adjusted: Sequence[float] | None = None,
    rejected: tuple[RejectedRow, ...] = (),
    digest: bytes = b"",
) -> Batch:
    """Return a batch as the servicer makes it from valid rows."""
    return Batch(
        sequence=sequence,
        key=key,
        sent=len(columns) + len(rejected),
        digest=digest or columns.close.tobytes(),
        bars=CheckedBars(
            columns,
            None if adjusted is None else np.array(adjusted, dtype=np.float64),
            last_is_final=last_is_final,
            rejected=rejected,
        ),
        symbol=key.symbol,
        interval=key.interval,
    )

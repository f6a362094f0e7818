"""Restatements: how a fetch shows that the history of a series is not the stored one any more."""

import numpy as np

from finstage_market.columns import PRICES
from services.ingest.hours.gaps import HISTORY_BEGINS
from services.ingest.series import EventKind, FetchedBars, GapReason
from services.ingest.store.reading import BarReader
from services.ingest.store.values import SeriesRead

# Adjusted prices are rounded products of ratios, so they differ by up to this part of the price.
_ADJUSTED_TOLERANCE = 1e-5


def why_restated(bars: BarReader, held: SeriesRead, fetched: FetchedBars) -> str:
    """Return what shows that bars around the fetched ones changed too; empty: nothing does. Blocks.

    A final bar with another volume, or one that comes late, is not a sign: providers correct the newest
    volumes and fill in minutes without changing earlier bars.

    held: the stored bars of the range of the fetch.
    """
    key, was_fetched = fetched.key, held.state.fetched_at_ms is not None
    if was_fetched and len(held.columns):
        known, first_ms = set(bars.events(key.symbol)), int(held.columns.open_time_ms[0])
        kinds = {EventKind.SPLIT} if key.interval.is_intraday else set(EventKind)
        for event in fetched.events:
            if event.kind in kinds and event not in known and event.time_ms >= first_ms:
                return f"a {event.kind.lower().replace('_', ' ')} that was not known"
    # Bars of clients stay, whatever the provider has there.
    told = ~held.client_owned & (held.columns.open_time_ms >= reach_ms(fetched))
    told[-1:] &= held.last_is_final
    stored = held.columns[told]
    rows = np.searchsorted(fetched.bars.columns.open_time_ms, stored.open_time_ms)
    there = rows < len(fetched.bars.columns)
    there[there] = fetched.bars.columns.open_time_ms[rows[there]] == stored.open_time_ms[there]
    if was_fetched and not there.all():
        return "a final bar is gone"
    stored, rows = stored[there], rows[there]
    again = fetched.bars.columns[rows]
    if any(not np.array_equal(getattr(stored, name), getattr(again, name)) for name in PRICES):
        return "a final bar has other prices"
    if was_fetched and fetched.bars.adjusted_close is not None and len(stored):
        # Stored adjusted closes are read through the adjustment that applies them.
        first_ms, last_ms = (int(held.columns.open_time_ms[at]) for at in (0, -1))
        adjusted = bars.read(key, start_ms=first_ms, end_ms=last_ms + 1, adjustment="ALL")
        if adjusted is not None and len(adjusted.columns) == len(held.columns):
            before = adjusted.columns.close[np.isin(adjusted.columns.open_time_ms, stored.open_time_ms)]
            now = fetched.bars.adjusted_close[rows]
            given = ~np.isnan(now)
            if not np.allclose(before[given], now[given], rtol=_ADJUSTED_TOLERANCE, atol=0.0):
                return "a final bar has another adjusted close"
    return ""


def reach_ms(fetched: FetchedBars) -> int:
    """Return from when on a missing bar means that there is none; the end when the fetch has no bars."""
    if not len(fetched.bars.columns):
        return fetched.end_ms
    limits = [
        gap.end_ms
        for gap in fetched.gaps
        if gap.reason is GapReason.PROVIDER_LIMIT and gap.detail != HISTORY_BEGINS
    ]
    return max([fetched.start_ms, *limits])

"""Restatements: what shows that the history of a series is another one than what the store has."""

import numpy as np

from finstage_market.columns import PRICES
from services.ingest.series import EventKind, FetchedBars, GapReason
from services.ingest.store.reading import BarReader
from services.ingest.store.values import SeriesRead

# Adjusted prices are products of ratios, and rounded: equal to so much of the price.
_ADJUSTED_TOLERANCE = 1e-5


def why_restated(bars: BarReader, held: SeriesRead, fetched: FetchedBars) -> str:
    """What shows that bars around the fetched ones changed too; empty: nothing does. Blocks.

    A final bar with another volume, or one that comes late, is written without that: providers correct
    the newest volumes, and fill minutes in, without touching what lies before.

    held: what the store has of the range of the fetch.
    """
    key, was_fetched = fetched.key, held.state.fetched_at_ms is not None
    if was_fetched and len(held.columns):
        known, first_ms = set(bars.events(key.symbol)), int(held.columns.open_time_ms[0])
        kinds = {EventKind.SPLIT} if key.interval.is_intraday else set(EventKind)
        for event in fetched.events:
            if event.kind in kinds and event not in known and event.time_ms >= first_ms:
                return f"a {event.kind.lower().replace('_', ' ')} that was not known"
    # What clients wrote stays, whatever the provider says of it.
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
        # The stored adjusted closes are seen through a read that applies them.
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
    """From where on the answer tells what there is; its end when it has no bars, and so tells nothing."""
    if not len(fetched.bars.columns):
        return fetched.end_ms
    limits = [gap.end_ms for gap in fetched.gaps if gap.reason is GapReason.PROVIDER_LIMIT]
    return max([fetched.start_ms, *limits])

"""Strays: rows of a client whose times are decades from every other bar. Most were sent in another unit."""

from dataclasses import replace

import numpy as np

from services.ingest.series import CheckedBars, RejectedRow, RejectReason
from services.ingest.store.diff import Extent
from services.ingest.validate import as_text

MAX_APART_MS = 20 * 366 * 86_400_000
_NOWHERE_MS = 2**62


def without_strays(bars: CheckedBars, extent: Extent) -> CheckedBars:
    """Return the bars without those that are more than 20 years from every other one, which are refused.

    extent: of the stored series. A first bar alone is no stray.
    """
    times = bars.columns.open_time_ms
    apart = np.full(len(times), _NOWHERE_MS, dtype=np.int64)
    apart[1:] = np.diff(times)
    apart[:-1] = np.minimum(apart[:-1], apart[1:])
    if extent.first_ms is not None and extent.last_ms is not None:
        apart = np.minimum(apart, np.maximum(np.maximum(extent.first_ms - times, times - extent.last_ms), 0))
    elif len(times) == 1:
        return bars
    stray = apart > MAX_APART_MS
    if not stray.any():
        return bars
    places = np.arange(len(times)) if bars.source_rows is None else bars.source_rows
    refused = tuple(
        RejectedRow(
            row=int(places[i]),
            open_time_ms=int(times[i]),
            reason=RejectReason.OUT_OF_RANGE,
            detail="the open time is more than 20 years from every other bar; send milliseconds since 1970",
            values=as_text(bars.columns, i, bars.adjusted_close),
        )
        for i in np.flatnonzero(stray).tolist()
    )
    kept_times = set(times[~stray].tolist())
    return replace(
        bars,
        columns=bars.columns[~stray],
        adjusted_close=None if bars.adjusted_close is None else bars.adjusted_close[~stray],
        last_is_final=bars.last_is_final or bool(stray[-1]),
        flags=tuple(flag for flag in bars.flags if flag.open_time_ms in kept_times),
        rejected=(*bars.rejected, *refused),
        source_rows=places[~stray],
    )

"""Gaps, cut where newer knowledge replaces them. Pure functions."""

from collections.abc import Iterable
from dataclasses import replace

from finstage_market.columns import Int64s
from services.ingest.series import Gap


def cut(gap: Gap, start_ms: int, end_ms: int) -> list[Gap]:
    """Return what remains of a gap outside [start, end), with an unknown number of missing bars."""
    rest = []
    if gap.start_ms < start_ms:
        rest.append(replace(gap, end_ms=min(gap.end_ms, start_ms)))
    if gap.end_ms > end_ms:
        rest.append(replace(gap, start_ms=max(gap.start_ms, end_ms)))
    return [gap] if rest == [gap] else [replace(each, missing_bars=None) for each in rest]


def cut_by_bars(gaps: Iterable[Gap], times: Int64s, length_ms: int) -> list[Gap]:
    """Return what remains of gaps when bars of a length were written that open at `times`, in order.

    The whole time from the first to the last bar within a gap counts as written.
    """
    remaining = []
    for gap in gaps:
        within = times[(times >= gap.start_ms) & (times < gap.end_ms)]
        if len(within):
            remaining += cut(gap, int(within[0]), int(within[-1]) + length_ms)
        else:
            remaining.append(gap)
    return remaining

"""Gaps cut by what is known anew. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from finstage_market.columns import Int64s
from services.ingest.series import Gap


def cut(gap: Gap, start_ms: int, end_ms: int) -> list[Gap]:
    """What remains of a gap outside [start, end). How many bars a part lacks is no longer known."""
    parts = []
    if gap.start_ms < start_ms:
        parts.append(replace(gap, end_ms=min(gap.end_ms, start_ms)))
    if gap.end_ms > end_ms:
        parts.append(replace(gap, start_ms=max(gap.start_ms, end_ms)))
    return [gap] if parts == [gap] else [replace(part, missing_bars=None) for part in parts]


def cut_by_bars(gaps: Iterable[Gap], times: Int64s, length_ms: int) -> list[Gap]:
    """What remains of gaps when bars of a length open at `times`, ordered, within or around them.

    The stretch from the first to the last of them counts as written.
    """
    remaining = []
    for gap in gaps:
        within = times[(times >= gap.start_ms) & (times < gap.end_ms)]
        if len(within):
            remaining += cut(gap, int(within[0]), int(within[-1]) + length_ms)
        else:
            remaining.append(gap)
    return remaining

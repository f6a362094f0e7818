"""Coverage cut to a part of a series."""

from finstage.market.v1 import series_pb2
from finstage_market.times import milliseconds, timestamp


def cut_coverage(
    coverage: series_pb2.Coverage, *, start_ms: int, end_ms: int, due_ms: int | None = None
) -> series_pb2.Coverage:
    """Return what `coverage` says about [start_ms, end_ms).

    Gaps that reach over an end are cut there; how many bars are missing in a part of one is not known. The
    parts of the range that `coverage` does not reach are gaps: NOT_FETCHED.

    due_ms: later bars are not due yet, so their absence is no gap; None: all are due.
    """
    cut = series_pb2.Coverage(start=timestamp(start_ms), end=timestamp(end_ms))
    if coverage.HasField("start") and start_ms < (first_ms := milliseconds(coverage.start)):
        _add_unfetched(cut, start_ms, min(first_ms, end_ms))
    for gap in coverage.gaps:
        gap_start_ms, gap_end_ms = milliseconds(gap.start), milliseconds(gap.end)
        if gap_end_ms <= start_ms or gap_start_ms >= end_ms:
            continue
        part = cut.gaps.add()
        part.CopyFrom(gap)
        if gap_start_ms < start_ms or gap_end_ms > end_ms:
            part.start.CopyFrom(timestamp(max(gap_start_ms, start_ms)))
            part.end.CopyFrom(timestamp(min(gap_end_ms, end_ms)))
            part.ClearField("missing_bars")
    due_ms = end_ms if due_ms is None else min(due_ms, end_ms)
    if coverage.HasField("end") and due_ms > (last_ms := max(milliseconds(coverage.end), start_ms)):
        _add_unfetched(cut, last_ms, due_ms)
    cut.flags.extend(flag for flag in coverage.flags if start_ms <= milliseconds(flag.open_time) < end_ms)
    # Gaps that were left out are older than all listed ones, so a range within the list has none of them.
    if coverage.gaps_left_out and start_ms < milliseconds(coverage.gaps[0].start):
        cut.gaps_left_out = coverage.gaps_left_out
    return cut


def _add_unfetched(cut: series_pb2.Coverage, start_ms: int, end_ms: int) -> None:
    reason = series_pb2.GAP_REASON_NOT_FETCHED
    cut.gaps.add(start=timestamp(start_ms), end=timestamp(end_ms), reason=reason)

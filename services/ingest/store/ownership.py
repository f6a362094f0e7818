"""Ownership of bars: which bars a client wrote, and which dividends their adjusted closes take into account.

It is kept as ranges of neighbouring bars with the same origin. The ranges of one series never overlap. Bars
outside all of them came from a provider, without adjusted closes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
from sqlalchemy import Connection, bindparam, delete, insert, select

from finstage_market.columns import Float64s, Int64s
from services.ingest.store import schema
from services.ingest.store.diff import Mask

NEVER_MS = -(2**63)
# The id in place of a client's write: the bars' adjusted closes, if any, belong to no write that goes on.
ANY_WRITE = 0


@dataclass(frozen=True, slots=True)
class OwnedRange:
    """The bars that opened in [start_ms, end_ms], both included, and where they came from.

    write_id: the client's write that brought their adjusted closes, or ANY_WRITE; None: a provider.
    adjusted_to_ms: their adjusted closes include the dividends up to this time; None: they have none.
    """

    start_ms: int
    end_ms: int
    write_id: int | None
    adjusted_to_ms: int | None

    @property
    def is_client(self) -> bool:
        """Whether a client wrote the bars."""
        return self.write_id is not None


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Who writes bars. write_id: a client's write; None: a provider.

    adjusted_to_ms: the incoming adjusted closes include the dividends up to this time. A client's write is
        one history: when a later batch reaches further, so do the adjusted closes of the earlier ones.
    paid_ms: the times of the symbol's dividends, in order.
    replaces_clients: whether a provider's bars replace clients' bars, which otherwise stay as they are.
    """

    write_id: int | None
    adjusted_to_ms: int
    paid_ms: Int64s
    replaces_clients: bool = False

    @property
    def is_client(self) -> bool:
        """Whether a client writes."""
        return self.write_id is not None


def ownership_after(
    before: list[OwnedRange],
    origin: Origin,
    *,
    times: Int64s,
    adjusted: Float64s | None,
    last_is_final: bool,
    others: Int64s | None,
    last_ms: int | None,
) -> list[OwnedRange]:
    """Return the ownership of a series after bars were written.

    Args:
        times, adjusted: of the written bars; None: they have no adjusted closes. A bar without one keeps
            what the bar in its place had.
        last_is_final: of the last written bar. Nobody owns a forming bar: anyone may correct it.
        others: the open times of the stored bars around the written ones; None: they are not known.
        last_ms: the open time of the last stored bar; None: there was none.
    """
    if not origin.is_client and adjusted is None and not before:
        return before
    has_adjusted = np.zeros(len(times), np.bool_) if adjusted is None else ~np.isnan(adjusted)
    after = _extended(before, origin) if has_adjusted.any() else before
    # Where the stored bars are not known, assume one between any two of the written bars.
    others = times - 1 if others is None else others
    every = _merged(others, times) if len(others) else times
    for mask in (has_adjusted, ~has_adjusted):
        for start_ms, end_ms in _runs(times, mask, every):
            at = int(np.searchsorted(every, start_ms))
            preceding = [int(every[at - 1])] if at else []
            if last_ms is not None and last_ms < start_ms:
                preceding.append(last_ms)
            after = _with_range(
                after,
                start_ms,
                end_ms,
                origin,
                has_adjusted=mask is has_adjusted,
                preceding_ms=max(preceding, default=None),
            )
    if not last_is_final and origin.is_client:
        forming_ms = int(times[-1])
        nobody = replace(origin, write_id=None)
        after = _with_range(after, forming_ms, forming_ms, nobody, has_adjusted=False, preceding_ms=None)
    return after


def ownership_without(before: list[OwnedRange], start_ms: int, end_ms: int) -> list[OwnedRange]:
    """Return the ranges without [start_ms, end_ms), where no bars are left."""
    outside: list[OwnedRange] = []
    for each in before:
        if each.start_ms < start_ms:
            outside.append(replace(each, end_ms=min(each.end_ms, start_ms - 1)))
        if each.end_ms >= end_ms:
            outside.append(replace(each, start_ms=max(each.start_ms, end_ms)))
    return sorted(outside, key=lambda each: each.start_ms)


def _merged(one: Int64s, other: Int64s) -> Int64s:
    """Return the times of both, each once. As both are ordered, a stable sort merges; np.union1d does not."""
    both = np.sort(np.concatenate([one, other]), kind="stable")
    first = np.ones(len(both), dtype=np.bool_)
    first[1:] = both[1:] != both[:-1]
    merged: Int64s = both[first]
    return merged


def _runs(times: Int64s, mask: Mask, every: Int64s) -> list[tuple[int, int]]:
    """Return the first and last time of each run of masked times within `every`, a superset of `times`."""
    if not mask.any():
        return []
    if mask.all() and len(times) == len(every):
        return [(int(times[0]), int(times[-1]))]
    times = times[mask]
    breaks = np.flatnonzero(np.diff(np.searchsorted(every, times)) > 1) + 1
    return [(int(times[a]), int(times[b - 1])) for a, b in pairwise([0, *breaks.tolist(), len(times)])]


def _extended(before: list[OwnedRange], origin: Origin) -> list[OwnedRange]:
    """Return the ranges; those of the same write include the dividends that the write includes now."""
    return [
        replace(each, adjusted_to_ms=max(each.adjusted_to_ms, origin.adjusted_to_ms))
        if each.adjusted_to_ms is not None and each.is_client and each.write_id == origin.write_id
        else each
        for each in before
    ]


def _with_range(
    before: list[OwnedRange],
    start_ms: int,
    end_ms: int,
    origin: Origin,
    *,
    has_adjusted: bool,
    preceding_ms: int | None,
) -> list[OwnedRange]:
    """Return the ranges after one run of bars was written.

    preceding_ms: the open time of the bar before the run; None: not known.
    """
    outside: list[OwnedRange] = []
    adjusted: list[OwnedRange] = []
    # Adjusted closes that were there before do not go on with this write.
    unadjusted_by = ANY_WRITE if origin.is_client else None
    for each in before:
        if each.start_ms < start_ms:
            outside.append(replace(each, end_ms=min(each.end_ms, start_ms - 1)))
        if each.end_ms > end_ms:
            outside.append(replace(each, start_ms=max(each.start_ms, end_ms + 1)))
        first_ms, last_ms = max(each.start_ms, start_ms), min(each.end_ms, end_ms)
        if first_ms <= last_ms and each.adjusted_to_ms is not None:
            adjusted.append(OwnedRange(first_ms, last_ms, unadjusted_by, each.adjusted_to_ms))
    if has_adjusted:
        preceding = next((each for each in reversed(outside) if each.start_ms < start_ms), None)
        new = [OwnedRange(start_ms, end_ms, origin.write_id, _adjusted_to_ms(preceding, origin))]
    else:
        new = _with_unadjusted(adjusted, start_ms, end_ms, unadjusted_by)
    return _joined(sorted([*outside, *new], key=lambda each: each.start_ms), start_ms, preceding_ms)


def _adjusted_to_ms(preceding: OwnedRange | None, origin: Origin) -> int:
    """Return up to when the incoming adjusted closes include the dividends.

    For a provider's this may be the time of the range before them when no dividend lies between the two
    times: the two ranges are then one.
    """
    if not origin.is_client and preceding and not preceding.is_client and preceding.adjusted_to_ms:
        low, high = sorted((preceding.adjusted_to_ms, origin.adjusted_to_ms))
        if not newest_between(origin.paid_ms, low, high):
            return preceding.adjusted_to_ms
    return origin.adjusted_to_ms


def _with_unadjusted(
    adjusted: list[OwnedRange], start_ms: int, end_ms: int, write_id: int | None
) -> list[OwnedRange]:
    """Return the ranges, with ranges that have no adjusted closes between and around them."""
    ranges, at_ms = [], start_ms
    for each in adjusted:
        if at_ms < each.start_ms:
            ranges.append(OwnedRange(at_ms, each.start_ms - 1, write_id, None))
        ranges.append(each)
        at_ms = each.end_ms + 1
    if at_ms <= end_ms:
        ranges.append(OwnedRange(at_ms, end_ms, write_id, None))
    return ranges


def _joined(ranges: Sequence[OwnedRange], start_ms: int, preceding_ms: int | None) -> list[OwnedRange]:
    """Return the ranges with equal neighbours joined, without those that say nothing."""
    joined: list[OwnedRange] = []
    for each in ranges:
        last = joined[-1] if joined else None
        if not each.is_client and each.adjusted_to_ms is None:
            continue
        if last is not None and replace(last, start_ms=each.start_ms, end_ms=each.end_ms) == each:
            touches = last.end_ms + 1 >= each.start_ms
            if touches or (
                each.start_ms == start_ms and preceding_ms is not None and last.end_ms >= preceding_ms
            ):
                joined[-1] = replace(each, start_ms=last.start_ms)
                continue
        joined.append(each)
    return joined


def newest_between(paid_ms: Int64s, low_ms: int, high_ms: int) -> int | None:
    """Return the time of the newest dividend in (low, high]; None: there is none."""
    at = int(np.searchsorted(paid_ms, high_ms, side="right"))
    return int(paid_ms[at - 1]) if at and paid_ms[at - 1] > low_ms else None


def readjusted_before_ms(
    before: Sequence[OwnedRange], after: Sequence[OwnedRange], paid_ms: Int64s
) -> int | None:
    """Return the newest dividend that applies to different bars than before; None: there is none."""
    found = [
        newest_between(paid_ms, *sorted((was.adjusted_to_ms, now.adjusted_to_ms)))
        for was in before
        for now in after
        if was.start_ms <= now.end_ms and now.start_ms <= was.end_ms
        if was.adjusted_to_ms is not None and now.adjusted_to_ms is not None
    ]
    return max((time_ms for time_ms in found if time_ms is not None), default=None)


def adjusted_to_ms(ranges: Sequence[OwnedRange], times: Int64s) -> Int64s:
    """Return, as int64[n], up to when each adjusted close includes the dividends; NEVER_MS: none."""
    known = [NEVER_MS if each.adjusted_to_ms is None else each.adjusted_to_ms for each in ranges]
    return _looked_up(ranges, np.array(known, dtype=np.int64), times, NEVER_MS)


def client_owned(ranges: Sequence[OwnedRange], times: Int64s) -> Mask:
    """Return, as bool[n], whether a client owns the bar at each time."""
    owned = np.array([each.is_client for each in ranges], dtype=np.int64)
    return _looked_up(ranges, owned, times, 0).astype(np.bool_)


def _looked_up(ranges: Sequence[OwnedRange], values: Int64s, times: Int64s, missing: int) -> Int64s:
    if not ranges:
        return np.full(len(times), missing, dtype=np.int64)
    ends = np.array([(each.start_ms, each.end_ms) for each in ranges], dtype=np.int64)
    at = np.searchsorted(ends[:, 0], times, side="right") - 1
    within = (at >= 0) & (times <= ends[at, 1])
    return np.where(within, values[at], missing)


def read_ownership(connection: Connection, series_ids: Sequence[int]) -> dict[int, list[OwnedRange]]:
    """Return the ranges of each of these series, in order."""
    found: dict[int, list[OwnedRange]] = {series_id: [] for series_id in series_ids}
    if found:
        table = schema.ownership
        query = select(table).where(table.c.series_id.in_(found)).order_by(table.c.start_ms)
        for row in connection.execute(query):
            each = OwnedRange(row.start_ms, row.end_ms, row.write_id, row.adjusted_to_ms)
            found[row.series_id].append(each)
    return found


def save_ownership(
    connection: Connection, changed: Iterable[tuple[int, Sequence[OwnedRange], Sequence[OwnedRange]]]
) -> None:
    """Write the differences: of series ids, the ranges as stored and as they are now."""
    table = schema.ownership
    gone, rows = [], []
    for series_id, before, after in changed:
        if after is before:
            continue
        gone += [{"of": series_id, "at": each.start_ms} for each in set(before) - set(after)]
        rows += [{"series_id": series_id, **asdict(each)} for each in set(after) - set(before)]
    if gone:
        ours = table.c.series_id == bindparam("of"), table.c.start_ms == bindparam("at")
        connection.execute(delete(table).where(*ours), gone)
    if rows:
        connection.execute(insert(table), rows)

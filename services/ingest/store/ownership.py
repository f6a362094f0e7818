"""Where bars came from, stretch by stretch: which are a client's, and what their adjusted closes know.

A stretch is a run of bars without any other between them. Stretches of one series never overlap; bars outside
all of them are a provider's, without adjusted closes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from sqlalchemy import Connection, bindparam, delete, insert, select

from finstage_market.columns import Float64s, Int64s
from services.ingest.store.diff import Mask
from services.ingest.store.schema import stretches

NEVER_MS = -(2**63)
# A client's, by whichever write: the adjusted closes, if there are any, are not of one that goes on.
SOME_WRITE = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bars that opened in [start_ms, end_ms], both included.

    write_id: the client's write that brought their adjusted closes, or SOME_WRITE; None: a provider's bars.
    adjusted_to_ms: their adjusted closes know the dividends up to this; None: they have none.
    """

    start_ms: int
    end_ms: int
    write_id: int | None
    adjusted_to_ms: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Who writes. write_id: a client's write; None: a provider.

    adjusted_to_ms: the adjusted closes that come know the dividends up to this. A write of a client is one
    history: where its later batches reach further, so do the adjusted closes of the earlier ones.
    paid_ms: the times of the symbol's dividends, in order.
    replaces_clients: whether a provider's bars take the place of clients' bars, which stay as they are else.
    """

    write_id: int | None
    adjusted_to_ms: int
    paid_ms: Int64s
    replaces_clients: bool = False

    @property
    def is_client(self) -> bool:
        """Whether a client writes."""
        return self.write_id is not None


def stretched(
    old: list[Stretch],
    origin: Origin,
    *,
    times: Int64s,
    adjusted: Float64s | None,
    last_is_final: bool,
    others: Int64s | None,
    last_ms: int | None,
) -> list[Stretch]:
    """The stretches after bars were written.

    Args:
        times, adjusted: of the bars that were written; None: without adjusted closes. Bars that have none
            keep what the bars there had.
        last_is_final: of the last of them. A forming bar is nobody's: whoever knows it better may write it.
        others: the open times of the bars that were there around them; None: they are not known.
        last_ms: the open time of the last bar that was there; None: there was none.
    """
    if not origin.is_client and adjusted is None and not old:
        return old
    has_adjusted = np.zeros(len(times), np.bool_) if adjusted is None else ~np.isnan(adjusted)
    new = _raised(old, origin) if has_adjusted.any() else old
    # Where it is not known what lies between them, something may.
    others = times - 1 if others is None else others
    every = _merged(others, times) if len(others) else times
    for mask in (has_adjusted, ~has_adjusted):
        for start_ms, end_ms in _runs(times, mask, every):
            at = int(np.searchsorted(every, start_ms))
            before = [int(every[at - 1])] if at else []
            if last_ms is not None and last_ms < start_ms:
                before.append(last_ms)
            after_ms = max(before, default=None)
            new = _put(new, start_ms, end_ms, origin, has_adjusted=mask is has_adjusted, after_ms=after_ms)
    if not last_is_final and origin.is_client:
        forming_ms = int(times[-1])
        nobody = replace(origin, write_id=None)
        new = _put(new, forming_ms, forming_ms, nobody, has_adjusted=False, after_ms=None)
    return new


def _merged(one: Int64s, other: Int64s) -> Int64s:
    """The times of both, each once. They are ordered, and so a stable sort is a merge, unlike np.union1d."""
    both = np.sort(np.concatenate([one, other]), kind="stable")
    first = np.ones(len(both), dtype=np.bool_)
    first[1:] = both[1:] != both[:-1]
    merged: Int64s = both[first]
    return merged


def _runs(times: Int64s, mask: Mask, every: Int64s) -> list[tuple[int, int]]:
    """The first and last of each run of the masked times in `every`, which has all times and others."""
    if not mask.any():
        return []
    if mask.all() and len(times) == len(every):
        return [(int(times[0]), int(times[-1]))]
    times = times[mask]
    breaks = np.flatnonzero(np.diff(np.searchsorted(every, times)) > 1) + 1
    return [(int(times[a]), int(times[b - 1])) for a, b in pairwise([0, *breaks.tolist(), len(times)])]


def _raised(old: list[Stretch], origin: Origin) -> list[Stretch]:
    """The adjusted closes of the same write know what the write knows now."""
    return [
        replace(each, adjusted_to_ms=max(each.adjusted_to_ms, origin.adjusted_to_ms))
        if each.adjusted_to_ms is not None and each.write_id is not None and each.write_id == origin.write_id
        else each
        for each in old
    ]


def _put(
    old: list[Stretch],
    start_ms: int,
    end_ms: int,
    origin: Origin,
    *,
    has_adjusted: bool,
    after_ms: int | None,
) -> list[Stretch]:
    """The stretches after one run of bars was written. after_ms: the bar before it, if that is known."""
    kept: list[Stretch] = []
    held: list[Stretch] = []
    # What adjusted closes of before know does not grow with this write.
    unadjusted_by = SOME_WRITE if origin.is_client else None
    for each in old:
        if each.start_ms < start_ms:
            kept.append(replace(each, end_ms=min(each.end_ms, start_ms - 1)))
        if each.end_ms > end_ms:
            kept.append(replace(each, start_ms=max(each.start_ms, end_ms + 1)))
        first_ms, last_ms = max(each.start_ms, start_ms), min(each.end_ms, end_ms)
        if first_ms <= last_ms and each.adjusted_to_ms is not None:
            held.append(Stretch(first_ms, last_ms, unadjusted_by, each.adjusted_to_ms))
    if has_adjusted:
        before = next((s for s in reversed(kept) if s.start_ms < start_ms), None)
        new = [Stretch(start_ms, end_ms, origin.write_id, _basis(before, origin))]
    else:
        new = _filled(held, start_ms, end_ms, unadjusted_by)
    return _joined(sorted([*kept, *new], key=lambda each: each.start_ms), start_ms, after_ms)


def _basis(before: Stretch | None, origin: Origin) -> int:
    """To when the adjusted closes that come know the dividends.

    Of a provider it may as well be what the bars before them know, as long as no dividend is between the two.
    """
    if not origin.is_client and before is not None and before.write_id is None and before.adjusted_to_ms:
        low, high = sorted((before.adjusted_to_ms, origin.adjusted_to_ms))
        if not newest_between(origin.paid_ms, low, high):
            return before.adjusted_to_ms
    return origin.adjusted_to_ms


def _filled(parts: list[Stretch], start_ms: int, end_ms: int, write_id: int | None) -> list[Stretch]:
    """The parts, with stretches that have no adjusted closes between and around them."""
    filled, at_ms = [], start_ms
    for part in parts:
        if at_ms < part.start_ms:
            filled.append(Stretch(at_ms, part.start_ms - 1, write_id, None))
        filled.append(part)
        at_ms = part.end_ms + 1
    if at_ms <= end_ms:
        filled.append(Stretch(at_ms, end_ms, write_id, None))
    return filled


def _joined(parts: Sequence[Stretch], start_ms: int, after_ms: int | None) -> list[Stretch]:
    """Neighbours that say the same made one; what says nothing left out."""
    joined: list[Stretch] = []
    for part in parts:
        last = joined[-1] if joined else None
        if part.write_id is None and part.adjusted_to_ms is None:
            continue
        if last is not None and replace(last, start_ms=part.start_ms, end_ms=part.end_ms) == part:
            touches = last.end_ms + 1 >= part.start_ms
            if touches or (part.start_ms == start_ms and after_ms is not None and last.end_ms >= after_ms):
                joined[-1] = replace(part, start_ms=last.start_ms)
                continue
        joined.append(part)
    return joined


def newest_between(paid_ms: Int64s, low_ms: int, high_ms: int) -> int | None:
    """The time of the newest dividend in (low, high]; None: there is none."""
    at = int(np.searchsorted(paid_ms, high_ms, side="right"))
    return int(paid_ms[at - 1]) if at and paid_ms[at - 1] > low_ms else None


def reread_before_ms(old: Sequence[Stretch], new: Sequence[Stretch], paid_ms: Int64s) -> int | None:
    """The newest dividend that applies to other bars now; None: there is none."""
    found = [
        newest_between(paid_ms, *sorted((was.adjusted_to_ms, now.adjusted_to_ms)))
        for was in old
        for now in new
        if was.start_ms <= now.end_ms and now.start_ms <= was.end_ms
        if was.adjusted_to_ms is not None and now.adjusted_to_ms is not None
    ]
    return max((time_ms for time_ms in found if time_ms is not None), default=None)


def adjusted_to(parts: Sequence[Stretch], times: Int64s) -> Int64s:
    """int64[n]: to when the adjusted closes of bars know the dividends; NEVER_MS: they have none."""
    known = [NEVER_MS if each.adjusted_to_ms is None else each.adjusted_to_ms for each in parts]
    return _looked_up(parts, np.array(known, dtype=np.int64), times, NEVER_MS)


def of_clients(parts: Sequence[Stretch], times: Int64s) -> Mask:
    """bool[n]: whether the bar at each time is a client's."""
    owned = np.array([each.write_id is not None for each in parts], dtype=np.int64)
    return _looked_up(parts, owned, times, 0).astype(np.bool_)


def _looked_up(parts: Sequence[Stretch], values: Int64s, times: Int64s, missing: int) -> Int64s:
    if not parts:
        return np.full(len(times), missing, dtype=np.int64)
    ends = np.array([(each.start_ms, each.end_ms) for each in parts], dtype=np.int64)
    at = np.searchsorted(ends[:, 0], times, side="right") - 1
    within = (at >= 0) & (times <= ends[at, 1])
    return np.where(within, values[at], missing)


def read_stretches(connection: Connection, series_ids: Sequence[int]) -> dict[int, list[Stretch]]:
    """Those of each of these series, in order."""
    found: dict[int, list[Stretch]] = {series_id: [] for series_id in series_ids}
    if found:
        query = select(stretches).where(stretches.c.series_id.in_(found)).order_by(stretches.c.start_ms)
        for row in connection.execute(query):
            part = Stretch(row.start_ms, row.end_ms, row.write_id, row.adjusted_to_ms)
            found[row.series_id].append(part)
    return found


def save_stretches(
    connection: Connection, changed: Iterable[tuple[int, Sequence[Stretch], Sequence[Stretch]]]
) -> None:
    """Write what differs: of series ids, what the database has and what it should have."""
    gone, rows = [], []
    for series_id, old, new in changed:
        if new is old:
            continue
        gone += [{"of": series_id, "at": each.start_ms} for each in set(old) - set(new)]
        rows += [
            {
                "series_id": series_id,
                "start_ms": each.start_ms,
                "end_ms": each.end_ms,
                "write_id": each.write_id,
                "adjusted_to_ms": each.adjusted_to_ms,
            }
            for each in set(new) - set(old)
        ]
    if gone:
        ours = stretches.c.series_id == bindparam("of"), stretches.c.start_ms == bindparam("at")
        connection.execute(delete(stretches).where(*ours), gone)
    if rows:
        connection.execute(insert(stretches), rows)

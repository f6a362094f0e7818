"""The rows of a file by their open times: those that can be bars of its interval, oldest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from finstage_barfile import series, spacing
from finstage_barfile.bars import Bars
from finstage_barfile.conversion import Converted
from finstage_barfile.errors import Unreadable
from finstage_barfile.periods import kept_instants, open_times, said, sundays
from finstage_barfile.table import RefusedRow
from finstage_barfile.times import NONE, Zoning, present, zone_of
from finstage_market.columns import Int64s
from finstage_market.interval import Interval

UTC = zone_of("UTC")


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """bars: by their times, without a volume. refused: the rows whose times cannot be those of bars.

    how: how the times were read, for people. notes: what else was found.
    """

    bars: Bars
    interval: Interval
    refused: tuple[RefusedRow, ...]
    how: str
    notes: tuple[str, ...]


def timed(
    made: Converted,
    interval: Interval | None,
    *,
    time_zone: ZoneInfo | None,
    date_zone: ZoneInfo,
    stamp: str,
) -> Timed:
    """The rows by their open times; arguments as read() has them.

    Raises:
        Unreadable: they cannot be bars of that interval, or need a zone.
    """
    notes = []
    if interval is None:
        apart = spacing.of(made.clocks)
        interval = spacing.inferred(apart, are_midnights=not (made.clocks % 86_400_000 != 0).any())
        notes.append(f"interval: {interval}, as far as its bars are apart")
    _check(made, interval)
    opens = open_times(
        made.clocks,
        made.offsets,
        made.plan.zoning,
        interval,
        time_zone=time_zone,
        date_zone=date_zone,
        is_end=stamp == "end",
        has_clock=made.has_clock,
    )
    if interval is Interval.W1 and stamp != "end" and (count := sundays(made.clocks)):
        notes.append(
            f"{count:,} of its weeks are stamped on a Sunday, and were read as those that begin on the "
            "Monday after it; stamp says if they end on it"
        )
    if not interval.is_intraday and time_zone is None and (count := kept_instants(made.clocks, opens)):
        notes.append(
            f"{count:,} of its times are instants without a zone, and were kept: a series whose exchange is "
            "not known then has days that others name by date; time_zone says whose days they are"
        )
    zone = f", {(time_zone or UTC).key}" if made.plan.zoning is Zoning.LOCAL else ""
    how = f"{made.plan.how}{zone}"
    far = series.far_away(opens)
    refused = (*_unclear(made, opens, how), *(_refused(made, row, reason) for row, reason in far.items()))
    opens[list(far)] = NONE
    return Timed(_ordered(made, opens), interval, refused, how, tuple(notes))


def _check(made: Converted, interval: Interval) -> None:
    """Check that the rows can be bars of the interval, by their times.

    Raises:
        Unreadable: they cannot.
    """
    if interval.is_intraday and not made.has_clock:
        raise Unreadable(
            f"its times ({made.first_time!r}) are dates alone, and {interval} bars need a time of day",
            settled_by="column_names",
            fields=["time"],
        )
    if made.plan.way is None:
        series.check_times(made.clocks)
    spacing.check(spacing.of(made.clocks), interval)


def _ordered(made: Converted, opens: Int64s) -> Bars:
    """The bars by their times: files come in either order."""
    there = present(opens)
    if there.all() and (opens[1:] >= opens[:-1]).all():
        return Bars(opens, made.spool, None, None)
    order, times = np.flatnonzero(there), opens[there]
    if (times[1:] >= times[:-1]).all():
        return Bars(times, made.spool, order, None)
    if (times[1:] < times[:-1]).all():
        return Bars(times[::-1], made.spool, order[::-1], None)
    order = order[np.argsort(times, kind="stable")]
    made.spool.reorder(order)
    return Bars(opens[order], made.spool, None, None)


def _unclear(made: Converted, opens: Int64s, how: str) -> Iterator[RefusedRow]:
    rows = np.flatnonzero(~present(opens) & present(made.clocks))
    for row in rows.tolist():
        yield _refused(made, row, f"is shown twice, or never, by the clocks of that zone; read as {how}")


def _refused(made: Converted, row: int, reason: str) -> RefusedRow:
    cell = said(int(made.clocks[row]))
    return RefusedRow(int(made.spool.read("row", row, row + 1)[0]), "time", cell, f"{cell!r} {reason}")

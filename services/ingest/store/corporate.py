"""Corporate actions: those of a fetch merged with the known ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert

from services.ingest.series import Event
from services.ingest.store.schema import events

# Depending on the interval, providers stamp an event with the bar's time, the session's start or midnight.
SAME_EVENT_MS = 18 * 3_600_000


@dataclass(frozen=True, slots=True)
class Merged:
    """The events to remove and to add."""

    removed: tuple[Event, ...]
    added: tuple[Event, ...]

    @property
    def all(self) -> tuple[Event, ...]:
        """Every event that is removed or added."""
        return (*self.removed, *self.added)


def merge(known: Iterable[Event], fetched: Iterable[Event], *, replaced: tuple[int, int] | None) -> Merged:
    """Compare known events with fetched ones.

    Two events of one kind within 18 hours are the same event: it keeps its first known time, with the newest
    values.

    Args:
        replaced: known events in this range [start, end) that were not fetched are removed.
    """
    left, removed, added = list(known), [], []
    for event in fetched:
        same = next((k for k in left if k.kind is event.kind and _near(k, event)), None)
        if same is None:
            added.append(event)
            continue
        left.remove(same)
        if _values(same) != _values(event):
            removed.append(same)
            added.append(Event(same.kind, same.time_ms, *_values(event)))
    if replaced is not None:
        removed += [event for event in left if replaced[0] <= event.time_ms < replaced[1]]
    return Merged(tuple(removed), tuple(added))


def apply(connection: Connection, symbol: str, merged: Merged) -> None:
    """Write the difference to the database."""
    for event in merged.removed:
        connection.execute(
            delete(events).where(
                events.c.symbol == symbol,
                events.c.kind == event.kind.value,
                events.c.time_ms == event.time_ms,
            )
        )
    rows: Sequence[dict[str, object]] = [
        {
            "symbol": symbol,
            "kind": event.kind.value,
            "time_ms": event.time_ms,
            "amount": event.amount,
            "numerator": event.numerator,
            "denominator": event.denominator,
        }
        for event in {(e.kind, e.time_ms): e for e in merged.added}.values()
    ]
    if rows:
        connection.execute(insert(events), rows)


def _near(one: Event, other: Event) -> bool:
    return abs(one.time_ms - other.time_ms) < SAME_EVENT_MS


def _values(event: Event) -> tuple[float | None, float | None, float | None]:
    return event.amount, event.numerator, event.denominator

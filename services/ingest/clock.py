"""The clock in the unit that ingest stores: milliseconds."""

from finstage_runtime.clock import Clock


def now_ms(clock: Clock) -> int:
    """The time now, in ms since 1970-01-01T00:00:00Z."""
    return int(clock.wall() * 1000)

"""What the parts of the store share: the database and the clock."""

from finstage_runtime.clock import Clock
from services.ingest.store.database import Database


class Part:
    """One part of the store; SqlStore is all of them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)

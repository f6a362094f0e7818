"""The work of ingest under faults: a client's write, and a backfill. Both go on until they are done."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np

from finstage_client import Client
from finstage_client.upload import Upload, WriteProgress
from finstage_market.columns import Columns
from finstage_market.errors import FinstageError
from finstage_market.interval import Interval
from proof.ingest_place import PATIENCE_S, Place

ROWS, BATCH_ROWS = 20_000, 500
SYMBOL = "PROOF"
SYMBOLS = ("AAPL", "VOD.L", "BTC-USD")
DAY_MS = 86_400_000


class Work(Protocol):
    """A request to ingest, repeated until it is done.

    name: works of one name do the same.
    acknowledged: the rows whose outcome the client knows.
    errors: the errors that the client got meanwhile.
    """

    acknowledged: int
    is_done: bool
    errors: list[str]

    @property
    def name(self) -> str: ...

    def again(self) -> "Work":
        """Return the same work, not begun."""

    def prepare(self, place: Place) -> None:
        """Prepare the database."""

    def carry_out(self, place: Place) -> str:
        """Do the work; return a fault in the result, or an empty text."""


def bars(seed: int) -> Columns:
    """Return ROWS daily bars, made from the seed."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, ROWS)))
    spread = rng.uniform(0, 0.5, ROWS)
    times = (np.arange(ROWS) - ROWS + 19_000) * DAY_MS
    return Columns.of(times, close, close + spread, close - spread, close, rng.integers(0, 10_000, ROWS))


def spoiled(columns: Columns, seed: int) -> Columns:
    """Return the bars, with high below low in one of a hundred."""
    high = columns.high.copy()
    high[np.random.default_rng(seed).choice(len(high), len(high) // 100, replace=False)] = 0.01
    return replace(columns, high=high)


def upload(columns: Columns, key: str, symbol: str = SYMBOL) -> Upload:
    """Return a write of bars."""
    return Upload(
        columns,
        symbol=symbol,
        interval=Interval.D1,
        source=f"client:{key}",
        idempotency_key=key,
        batch_rows=BATCH_ROWS,
    )


@dataclass
class Write:
    """A client's write over every third bar already stored: rows are inserted, updated and rejected."""

    seed: int
    acknowledged: int = 0
    is_done: bool = False
    errors: list[str] = field(default_factory=list)
    _lost: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"write {self.seed}"

    def again(self) -> "Write":
        return Write(self.seed)

    def prepare(self, place: Place) -> None:
        """Store every third bar, with other volumes."""
        held = bars(self.seed)[::3]
        with Client(ingest=place.ingest.target) as client:
            client.write(upload(replace(held, volume=held.volume + 1), "before"))

    def carry_out(self, place: Place) -> str:
        """Write, and continue after each failure."""
        columns = spoiled(bars(self.seed), self.seed)
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Client(ingest=place.target) as client:
                    rows = client.write(upload(columns, "proof"), self._seen, patience_s=0).rows
                break
            except FinstageError as error:
                self.errors.append(str(error))
                if time.monotonic() > give_up:
                    return f"not done after {PATIENCE_S:g} s: {error}"
                time.sleep(0.02)
        self.is_done = True
        if rows.sent != ROWS or rows.sent != rows.inserted + rows.updated + rows.unchanged + rows.rejected:
            self._lost.append(f"the counts are {rows}")
        return "; ".join(self._lost)

    def _seen(self, progress: WriteProgress) -> None:
        if progress.rows.sent < self.acknowledged:
            self._lost.append(f"{self.acknowledged} rows were acknowledged, and then {progress.rows.sent}")
        self.acknowledged = progress.rows.sent


@dataclass
class Backfill:
    """A job of a few chunks."""

    name: str = "backfill"
    acknowledged: int = 0
    is_done: bool = False
    errors: list[str] = field(default_factory=list)

    def again(self) -> "Backfill":
        return Backfill()

    def prepare(self, place: Place) -> None:
        """Prepare nothing."""

    def carry_out(self, place: Place) -> str:
        """Create the job, and poll it until it has ended."""
        give_up = time.monotonic() + PATIENCE_S
        state = "not there"
        with Client(ingest=place.target) as client:
            while time.monotonic() < give_up:
                try:
                    # The same request names the same job, however often it is sent.
                    state = client.job(client.backfill(SYMBOLS, ["1d"], idempotency_key="proof").id).state
                except FinstageError as error:
                    self.errors.append(str(error))
                if state not in ("QUEUED", "RUNNING", "not there"):
                    self.is_done = True
                    return "" if state == "SUCCEEDED" else f"the job is {state}"
                time.sleep(0.02)
        return f"the job is {state} after {PATIENCE_S:g} s"


def written_by_two(place: Place, run: int) -> str:
    """Let two clients write alternate bars of one series at the same time; return what is wrong then."""
    symbol, columns = f"T{run}", bars(run)

    def write(half: int) -> int:
        part = columns[half::2]
        with Client(ingest=place.target) as client:
            return client.write(upload(part, f"two-{run}-{half}", symbol)).rows.inserted

    with ThreadPoolExecutor(2) as pool:
        inserted = sum(pool.map(write, (0, 1)))
    if inserted != ROWS:
        return f"{inserted} inserted"
    stored = place.stored(symbol)
    same = all(np.array_equal(getattr(stored, f.name), getattr(columns, f.name)) for f in fields(columns))
    return "" if same else f"{len(stored)} bars, and not those that were sent"

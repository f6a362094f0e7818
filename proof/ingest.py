"""ingest killed again and again: python -m proof.ingest

In every run the process of ingest is killed (kill -9) at a random moment of a client's write, or of a
backfill, and started again; the client, or the job, goes on. Then no row may be missing or there twice, the
counts must add up to the rows sent, and the series must be what it is without a kill. In some runs it is
PostgreSQL that is killed, under an ingest that lives; in others two clients write one series.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from finstage_client import Client
from finstage_client.upload import Upload, WriteProgress
from libs.cache.clock import SYSTEM
from libs.market.columns import VALUES, Columns
from libs.market.errors import FinstageError
from libs.market.interval import Interval
from services.ingest.series import SeriesKey
from services.ingest.store.sql import open_store
from sim.clock import FakeClock, epoch
from sim.server import start as start_market
from tests.e2e.running import ServiceProcess, free_ports
from tests.postgres_server import PostgresServer, create_database, postgres_server

REPORT = Path(__file__).resolve().parent.parent / "var" / "proof" / "ingest.json"
ROWS, BATCH_ROWS = 20_000, 500
KILL_WITHIN_S = 0.12
PATIENCE_S = 60.0
DAY_MS = 86_400_000
SYMBOLS = ("AAPL", "VOD.L", "BTC-USD")


@dataclass
class Finding:
    """What was tried, and what of it failed. cut: runs in which the kill came before the work was done."""

    name: str
    tried: int = 0
    cut: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A database, and the process of ingest on it."""

    url: str
    ingest: ServiceProcess

    def stored(self, symbol: str) -> Columns:
        """The daily bars in the database, read beside ingest."""
        store = open_store(self.url, clock=SYSTEM)
        try:
            read = store.read(SeriesKey(symbol, Interval.D1))
            return Columns.empty() if read is None else read.columns
        finally:
            store.close()


def bars(seed: int) -> Columns:
    """ROWS daily bars, made of the seed."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, ROWS)))
    spread = rng.uniform(0, 0.5, ROWS)
    times = (np.arange(ROWS) - ROWS + 19_000) * DAY_MS
    return Columns.of(times, close, close + spread, close - spread, close, rng.integers(0, 10_000, ROWS))


def differs(held: Columns, sent: Columns) -> str:
    """How what is held is not what was sent; empty: it is."""
    if len(held) != len(sent):
        return f"{len(held)} bars instead of {len(sent)}"
    for name in ("open_time_ms", *VALUES):
        if not np.array_equal(getattr(held, name), getattr(sent, name)):
            return f"another {name}"
    return ""


def written(
    place: Place, upload: Callable[[], Upload], seen: Callable[[WriteProgress], None]
) -> WriteProgress:
    """A write, taken up again until it is whole."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with Client(ingest=place.ingest.target) as client:
                return client.write(upload(), seen)
        except FinstageError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def struck_write(place: Place, run: int, rng: random.Random, strike: Callable[[], None]) -> tuple[bool, str]:
    """One write, struck at a random moment: whether it was cut, and what is wrong afterwards."""
    symbol, sent = f"W{run}", bars(run)
    acknowledged = 0
    at_strike = 0

    def upload() -> Upload:
        return Upload(
            sent,
            symbol=symbol,
            interval=Interval.D1,
            source="client:proof",
            idempotency_key=f"proof-{run}",
            batch_rows=BATCH_ROWS,
        )

    def seen(progress: WriteProgress) -> None:
        nonlocal acknowledged
        acknowledged = progress.rows.sent

    def hit() -> None:
        nonlocal at_strike
        time.sleep(rng.uniform(0, KILL_WITHIN_S))
        at_strike = acknowledged
        strike()

    with ThreadPoolExecutor(1) as striking:
        struck = striking.submit(hit)
        result = written(place, upload, seen)
        struck.result()
    rows = result.rows
    wrong = differs(place.stored(symbol), sent)
    if (rows.sent, rows.inserted, rows.updated, rows.unchanged, rows.rejected) != (ROWS, ROWS, 0, 0, 0):
        wrong = f"the counts are {rows}; {wrong}"
    return at_strike < ROWS, f"run {run}: {wrong}" if wrong else ""


def kill_of(place: Place) -> Callable[[], None]:
    """kill -9 of ingest, and a new one."""

    def strike() -> None:
        place.ingest.kill()
        place.ingest.start()

    return strike


def struck_backfill(
    place: Place, run: int, rng: random.Random, right: dict[str, Columns]
) -> tuple[bool, str]:
    """One backfill, with ingest killed in it. right: the series as a backfill without a kill makes them."""
    with Client(ingest=place.ingest.target) as client:
        job = client.backfill(SYMBOLS, ["1d"], request_id=f"proof-{run}")
    time.sleep(rng.uniform(0, KILL_WITHIN_S))
    kill_of(place)()
    after_kill = followed(place, job.id, until_ended=False)
    finished = followed(place, job.id, until_ended=True)
    if finished != "SUCCEEDED":
        return True, f"run {run}: the job is {finished}"
    for symbol in SYMBOLS:
        held = place.stored(symbol)
        if wrong := differs(held, right.setdefault(symbol, held)):
            return True, f"run {run}: {symbol}: {wrong}"
    return after_kill in ("QUEUED", "RUNNING"), ""


def followed(place: Place, job_id: str, *, until_ended: bool) -> str:
    """The state of a job: now, or when it has ended."""
    give_up = time.monotonic() + PATIENCE_S
    with Client(ingest=place.ingest.target) as client:
        while True:
            try:
                state = client.job(job_id).state
                if not until_ended or state not in ("QUEUED", "RUNNING"):
                    return state
            except FinstageError:
                if time.monotonic() > give_up:
                    raise
            if time.monotonic() > give_up:
                return f"still {state} after {PATIENCE_S:g} s"
            time.sleep(0.05)


def two_writers(place: Place, run: int) -> str:
    """Two clients write the halves of one series, interleaved, at the same time."""
    symbol, sent = f"T{run}", bars(run)
    halves = [sent[np.arange(half, ROWS, 2)] for half in (0, 1)]

    def write(half: int) -> WriteProgress:
        upload = Upload(
            halves[half],
            symbol=symbol,
            interval=Interval.D1,
            source=f"client:proof-{half}",
            idempotency_key=f"proof-two-{run}-{half}",
            batch_rows=BATCH_ROWS,
        )
        return written(place, lambda: upload, lambda _: None)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(write, (0, 1)))
    inserted = sum(result.rows.inserted for result in results)
    wrong = differs(place.stored(symbol), sent) or ("" if inserted == ROWS else f"{inserted} inserted")
    return f"run {run}: {wrong}" if wrong else ""


@contextmanager
def place(url: str, upstream: str, folder: Path) -> Iterator[Place]:
    """ingest, running on a database."""
    ingest = ServiceProcess(
        "ingest",
        folder,
        *free_ports(2),
        PROVIDER="sim",
        UPSTREAM_URL=upstream,
        DATABASE_URL=url,
        JOB_LEASE_S="1",
        DRAIN_WAIT_S="0",
    )
    ingest.start()
    try:
        yield Place(url, ingest)
    finally:
        ingest.kill()


def prove(*, runs: int, seed: int) -> list[Finding]:
    """runs: how often ingest is killed, over both databases; a tenth as often each of the other things."""
    rng = random.Random(seed)
    few = max(1, runs // 10)
    findings = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        market = stack.enter_context(start_market(clock=FakeClock(epoch("2025-06-04T22:00:00Z"))))
        postgres: PostgresServer = stack.enter_context(postgres_server(durable=True))
        places = {
            "SQLite": f"sqlite:///{folder}/finstage.db",
            "PostgreSQL": create_database(postgres.url, "proof"),
        }
        for name, url in places.items():
            with place(url, market.url, folder) as at:
                writes, backfills = Finding(f"{name}: killed writes"), Finding(f"{name}: killed backfills")
                pairs = Finding(f"{name}: two writers of one series")
                right: dict[str, Columns] = {}
                for run in range(runs // 2):
                    is_backfill = run % 5 == 4
                    finding = backfills if is_backfill else writes
                    if is_backfill:
                        cut, wrong = struck_backfill(at, run, rng, right)
                    else:
                        cut, wrong = struck_write(at, run, rng, kill_of(at))
                    note(finding, cut, wrong)
                for run in range(few):
                    note(pairs, False, two_writers(at, run))
                findings += [writes, backfills, pairs]
                if name == "PostgreSQL":
                    away = Finding("PostgreSQL killed under a write")

                    def strike() -> None:
                        postgres.kill()
                        started_again(postgres)

                    for run in range(runs, runs + few):
                        note(away, *struck_write(at, run, rng, strike))
                    findings.append(away)
    return findings


def started_again(postgres: PostgresServer) -> None:
    """Start it; it refuses as long as children of the one that was killed hold on to its memory."""
    give_up = time.monotonic() + PATIENCE_S / 2
    while True:
        try:
            return postgres.start()
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


def note(finding: Finding, cut: bool, wrong: str) -> None:
    """One run of a finding, told as it goes."""
    finding.tried += 1
    finding.cut += cut
    if wrong:
        finding.failed.append(wrong)
        print(f"{finding.name}: {wrong}", flush=True)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description="The proof of the store.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begun = time.monotonic()
    findings = prove(runs=args.runs, seed=args.seed)
    for found in findings:
        print(f"{found.name}: {found.tried} tried, {found.cut} cut in the middle, {len(found.failed)} failed")
    print(f"{time.monotonic() - begun:.0f} s; written: {REPORT}")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps([asdict(found) for found in findings], indent=1) + "\n")
    sys.exit(1 if any(found.failed for found in findings) else 0)


if __name__ == "__main__":
    main()

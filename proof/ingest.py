"""The proof of the store, by faults at random moments: python -m proof.ingest

In every run, ingest works on a database of its own and a fault interrupts it at a random moment; the client
repeats its request until the work is done. Then the hash of all tables must equal that of a run without
faults, the counts must add up to the rows sent, and no acknowledged row may ever have been missing.

- ingest is killed (kill -9) and started again, during a client's write (which inserts, updates and has
  rejected rows) and during a backfill;
- the connection is cut between a commit and its acknowledgement;
- the disk is full for a while;
- two clients write one series at the same time;
- PostgreSQL is killed while ingest keeps running.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import psycopg

from bench import report
from bench.report import sized
from proof.ingest_harm import Harm, cut, full, killed, small_disk, without_postgres
from proof.ingest_place import Place, place
from proof.ingest_process import fork_context
from proof.ingest_work import Backfill, Work, Write, written_by_two
from sim.clock import FakeClock, epoch
from sim.server import start as start_market
from tests.postgres_server import create_database, drop_database, postgres_server

SEEDS = 3  # for the bars; each needs a clean run for comparison
SMALL_MIB = 64

NewDatabase = Callable[[], AbstractContextManager[str]]


@dataclass
class Finding:
    """The result of one fault. cut: runs in which the fault came before the work was done.

    note: why it was not tried, if it was not.
    """

    name: str
    tried: int = 0
    cut: int = 0
    failed: list[str] = field(default_factory=list)
    note: str = ""

    def add(self, wrong: str) -> None:
        """Count one run, and print its failure at once."""
        self.tried += 1
        if wrong:
            self.failed.append(f"run {self.tried}: {wrong}")
            print(f"{self.name}: {self.failed[-1]}", flush=True)


class Prover:
    """Runs on one kind of database. place: a context with ingest on a new database."""

    def __init__(self, name: str, new_place: Callable[[], AbstractContextManager[Place]], seed: int) -> None:
        self._name = name
        self._new_place = new_place
        self._rng = random.Random(seed)
        self._seed = seed
        self._clean: dict[str, tuple[float, str]] = {}

    def elsewhere(self, new_place: Callable[[], AbstractContextManager[Place]]) -> "Prover":
        """The same kind of database in other places: its clean runs, which leave the same tables, stay."""
        other = Prover(self._name, new_place, self._seed)
        other._clean = self._clean
        return other

    def prove(self, name: str, works: list[Work], harm: Harm) -> Finding:
        """Do each of the works under a fault."""
        finding = Finding(f"{self._name}: {name}")
        for work in works:
            seconds, right = self._clean_run(work)
            with self._new_place() as at:
                work.prepare(at)
                moment = self._rng.uniform(0, 0.9 * seconds)  # so that most faults come in time
                with harm(at, work, moment) as (reached, strike), ThreadPoolExecutor(1) as pool:
                    struck = pool.submit(strike)
                    wrong = work.carry_out(reached)
                    finding.cut += struck.result()
                if not wrong and at.fingerprint() != right:
                    wrong = "the tables are not those of a clean run"
            finding.add(wrong)
        return finding

    def prove_pairs(self, runs: int) -> Finding:
        """Let two clients write one series at the same time."""
        finding = Finding(f"{self._name}: two writers of one series")
        with self._new_place() as at:
            for run in range(runs):
                finding.add(written_by_two(at, run))
        return finding

    def _clean_run(self, work: Work) -> tuple[float, str]:
        """Return the time that the work takes without a fault, and the fingerprint after it."""
        if work.name not in self._clean:
            same = work.again()
            with self._new_place() as at:
                same.prepare(at)
                begun = time.monotonic()
                wrong = same.carry_out(at)
                assert not wrong, wrong
                self._clean[work.name] = (time.monotonic() - begun, at.fingerprint())
        return self._clean[work.name]


def writes(runs: int) -> list[Work]:
    """Return so many writes."""
    return [Write(run % SEEDS) for run in range(runs)]


def prove(*, runs: int, seed: int) -> list[Finding]:
    """Run the proof. runs: kills of ingest, over both databases; each other fault comes a tenth as often."""
    few, backfills = max(1, runs // 10), max(1, runs // 10)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # PostgreSQL runs as another user and has its small disk here
        market = stack.enter_context(start_market(clock=FakeClock(epoch("2025-06-04T22:00:00Z"))))
        postgres = stack.enter_context(postgres_server(durable=True))
        disk = stack.enter_context(small_disk(folder / "small", mib=SMALL_MIB))
        if disk is not None:
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                location = disk.folder("tables", of_process=postgres.pid)
                connection.execute(f"CREATE TABLESPACE small LOCATION '{location}'")
        numbers, context = count(), fork_context()

        @contextmanager
        def sqlite(where: Path = folder) -> Iterator[str]:
            path = where / f"{next(numbers)}.db"
            yield f"sqlite:///{path}"
            for file in where.glob(f"{path.name}*"):
                file.unlink()

        @contextmanager
        def postgresql(tablespace: str = "pg_default") -> Iterator[str]:
            name = f"proof_{next(numbers)}"
            yield create_database(postgres.url, name, tablespace=tablespace)
            drop_database(postgres.url, name)

        def places(name: str, database: NewDatabase) -> Callable[[], AbstractContextManager[Place]]:
            logs = folder / name
            logs.mkdir(exist_ok=True)

            @contextmanager
            def new_place() -> Iterator[Place]:
                with database() as url, place(url, market.url, logs, context) as at:
                    yield at

            return new_place

        def struck(proof: Prover) -> list[Finding]:
            return [
                proof.prove("killed writes", writes(runs // 2 - backfills), killed),
                proof.prove("killed backfills", [Backfill() for _ in range(backfills)], killed),
                proof.prove("cut between commit and acknowledgement", writes(few), cut),
                proof.prove_pairs(few),
            ]

        on_sqlite = Prover("SQLite", places("SQLite", sqlite), seed)
        on_postgres = Prover("PostgreSQL", places("PostgreSQL", postgresql), seed)
        # Each on one processor; the kills of PostgreSQL come later, when nothing else uses it.
        with ThreadPoolExecutor(2) as pool:
            findings = [finding for each in pool.map(struck, (on_sqlite, on_postgres)) for finding in each]
        findings.append(on_postgres.prove("killed under a write", writes(few), without_postgres(postgres)))
        if disk is None:
            note = "this user may not mount a small disk"
            findings += [Finding(f"{name}: disk full", note=note) for name in ("SQLite", "PostgreSQL")]
        else:
            for proof in (
                on_sqlite.elsewhere(places("SQLite", partial(sqlite, disk.path))),
                on_postgres.elsewhere(places("PostgreSQL", partial(postgresql, "small"))),
            ):
                findings.append(proof.prove("disk full", writes(few), full(disk, random.Random(seed))))
    return findings


def main() -> None:
    """Run the proof from the command line."""
    parser = argparse.ArgumentParser(description="The proof of the store.")
    parser.add_argument("--runs", type=int, default=sized(240, 4))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begun = time.monotonic()
    findings = prove(runs=args.runs, seed=args.seed)
    for found in findings:
        text = f"{found.tried} tried, {found.cut} cut in the middle, {len(found.failed)} failed"
        print(f"{found.name}: {found.note or text}")
    print(f"{time.monotonic() - begun:.0f} s")
    report.save("proof/ingest", [asdict(found) for found in findings])
    sys.exit(1 if any(found.failed for found in findings) else 0)


if __name__ == "__main__":
    main()

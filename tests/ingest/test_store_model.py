"""The store against a plain model: after any writes in any order, bars, counts and versions agree."""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from services.ingest.series import SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from services.ingest.store.values import Batch, WriteHeader, WriteMode
from services.ingest.writing.batches import SentBatch, check_batch
from tests.ingest.conftest import empty_tables
from tests.ingest.stores import NOW_MS, bars, closes, day, fetched

# From 2020-12-26 to 2021-01-06, so intraday bars lie in two partitions.
DAYS = st.integers(103, 114)
CLOSE = st.sampled_from([10.0, 11.0, 12.0])
BARS = st.dictionaries(DAYS, CLOSE, max_size=6).map(lambda d: dict(sorted(d.items())))


@dataclass
class Model:
    """A series as DESIGN describes it: day to close, whether the last is final, and the version."""

    bars: dict[int, float] = field(default_factory=dict)
    last_is_final: bool = True
    epoch: int = 0
    revision: int = 0
    client_owned: set[int] = field(default_factory=set)

    @property
    def final(self) -> dict[int, float]:
        """The final bars."""
        last = max(self.bars, default=None)
        return {d: c for d, c in self.bars.items() if d != last or self.last_is_final}

    def become(self, after: dict[int, float], last_is_final: bool) -> None:
        """Set the series to these bars."""
        before = Model(self.bars, self.last_is_final)
        self.bars, self.last_is_final = dict(sorted(after.items())), last_is_final or not after
        if (self.bars, self.last_is_final) == (before.bars, before.last_is_final):
            self.epoch, self.revision = max(self.epoch, bool(self.bars)), max(self.revision, bool(self.bars))
            return
        # Bars may only have been added after the last final one.
        newest = max(before.final, default=-1)
        restated = {d: c for d, c in self.bars.items() if d <= newest} != before.final
        self.epoch += restated or self.epoch == 0
        self.revision += 1

    def write(self, sent: dict[int, float], last_is_final: bool, replaced: Collection[int] = ()) -> None:
        """Write bars as a fetch and the UPSERT mode do."""
        kept = {d: c for d, c in self.bars.items() if d not in replaced or d in sent}
        after = kept | sent
        last = max(after, default=None)
        final = last != max(self.bars, default=None) or self.last_is_final
        if sent and last == max(sent):
            same = self.bars.get(last) == sent[last]
            final = last_is_final or (same and final)
        self.become(after, final)


class StoreMachine(RuleBasedStateMachine):
    """Writes of every kind; after each write the store is compared with the model."""

    fresh_url: Callable[[], AbstractContextManager[str]]

    @initialize(interval=st.sampled_from([Interval.D1, Interval.H1]))
    def start(self, interval: Interval) -> None:
        self.key = SeriesKey("AAPL", interval)
        self.resources = ExitStack()
        self.url = self.resources.enter_context(type(self).fresh_url())
        self.store = self.open()
        self.model = Model()
        self.write = 0
        self.seen = self.store.commits.token()

    def open(self) -> Store:
        return open_store(self.url, clock=ManualClock(NOW_MS / 1000))

    def teardown(self) -> None:
        self.store.close()
        self.resources.close()

    @rule(sent=BARS, last_is_final=st.booleans(), ends=st.tuples(DAYS, DAYS), replace=st.booleans())
    def fetch(
        self, sent: dict[int, float], last_is_final: bool, ends: tuple[int, int], replace: bool
    ) -> None:
        first, end = min(*ends, *sent), max(*ends, *sent) + 1
        was = set(self.model.bars.items())
        # A client's bars stay as they are.
        kept = self.model.client_owned
        taken = {d: c for d, c in sent.items() if d not in kept}
        result = self.store.fetched.write(
            fetched(bars(sent), key=self.key, first_day=first, end_day=end, last_is_final=last_is_final),
            replace=replace,
        )
        assert result.rows.sent == len(sent)
        assert result.rows.unchanged == len(was & set(taken.items())) + len(sent.keys() & kept)
        assert result.rows.inserted == len(set(taken) - {d for d, _ in was})
        assert result.rows.updated == result.rows.sent - result.rows.unchanged - result.rows.inserted
        if sent and max(sent) in kept:
            last_is_final = True
        replaced = [d for d in range(first, end) if d not in kept] if replace else []
        self.model.write(taken, last_is_final, replaced)
        # A series that was requested exists, with or without bars.
        self.model.epoch, self.model.revision = max(self.model.epoch, 1), max(self.model.revision, 1)

    @rule(
        mode=st.sampled_from(WriteMode),
        batches=st.lists(st.lists(st.tuples(DAYS, CLOSE), min_size=1, max_size=6), min_size=1, max_size=3),
        again=st.booleans(),
    )
    def write_batches(self, mode: WriteMode, batches: list[list[tuple[int, float]]], again: bool) -> None:
        self.write += 1
        header = WriteHeader(f"write {self.write}", mode, "client:test")
        self.store.writes.open(header)
        sent = [checked(i, self.key, rows) for i, rows in enumerate(batches, 1)]
        results = self.store.writes.write(header, sent)
        for rows, result in zip(batches, results, strict=True):
            kept: dict[int, float] = {}
            for d, c in rows:
                if d > max(kept, default=-1):
                    kept[d] = c
            allowed = {
                d: c
                for d, c in kept.items()
                if mode is WriteMode.UPSERT or (d in self.model.bars) == (mode is WriteMode.UPDATE)
            }
            counts = result.rows
            assert counts.sent == len(rows)
            assert counts.rejected == len(rows) - len(allowed)
            assert counts.inserted == len(allowed.keys() - self.model.bars.keys())
            assert counts.unchanged == sum(self.model.bars.get(d) == c for d, c in allowed.items())
            assert counts.inserted + counts.updated + counts.unchanged + counts.rejected == counts.sent
            assert len(result.rejected) == counts.rejected
            refused_last = bool(kept) and max(kept) not in allowed
            final = self.model.last_is_final
            self.model.write(allowed, last_is_final=True)
            self.model.client_owned |= allowed.keys()
            if refused_last and max(kept) == max(self.model.bars, default=None):
                assert final == self.model.last_is_final
            if result.epoch is not None:
                assert (result.epoch, result.revision) == (self.model.epoch, self.model.revision)
        if again:
            repeated = self.store.writes.write(header, sent)
            assert [r.rows for r in repeated] == [r.rows for r in results]
            assert all(r.repeated for r in repeated)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def the_store_is_the_model(self) -> None:
        state = self.store.bars.state(self.key)
        if state is None:
            assert self.model == Model()
            return
        read = self.store.bars.read(self.key)
        assert read is not None
        assert closes(read.columns) == self.model.bars
        assert set(closes(read.columns[read.client_owned])) == self.model.client_owned
        assert (state.epoch, state.revision) == (self.model.epoch, self.model.revision)
        assert state.last_is_final == self.model.last_is_final
        assert state.count == len(self.model.bars)
        ends = [
            None if d is None else day(d)
            for d in (min(self.model.bars, default=None), max(self.model.bars, default=None))
        ]
        assert [state.first_ms, state.last_ms] == ends

    @invariant()
    def the_log_tells_of_every_version(self) -> None:
        commits = self.store.commits.after(self.seen)
        versions = [(c.epoch, c.revision) for c in commits]
        assert versions == sorted(versions)
        if commits:
            assert versions[-1] == (self.model.epoch, self.model.revision)
            self.seen = commits[-1].token


def checked(sequence: int, key: SeriesKey, rows: list[tuple[int, float]]) -> Batch:
    close = np.array([c for _, c in rows])
    arrays = {
        "open_time_ms": np.array([day(d) for d, _ in rows]),
        "open": close,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": close * 10,
    }
    no_unknown = np.empty(0, dtype=np.int64)
    sent = SentBatch(sequence, key.symbol, key.interval.value, arrays, np.empty(0), no_unknown)
    return check_batch(sent, now_ms=NOW_MS)


def run(fresh_url: Callable[[], AbstractContextManager[str]], *, examples: int) -> None:
    machine = type("Machine", (StoreMachine,), {"fresh_url": staticmethod(fresh_url)})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,  # the same result in every run; longer random runs are for other times
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)  # type: ignore[no-untyped-call]


def test_sqlite_agrees_with_the_model(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/empty.db", clock=ManualClock()).close()

    @contextmanager
    def fresh_url() -> Iterator[str]:
        shutil.copy(tmp_path / "empty.db", tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        for file in tmp_path.glob("store.db*"):
            file.unlink()

    run(fresh_url, examples=80)


def test_postgres_agrees_with_the_model(shared_postgres_url: str) -> None:
    @contextmanager
    def fresh_url() -> Iterator[str]:
        yield shared_postgres_url
        empty_tables(shared_postgres_url)

    run(fresh_url, examples=40)

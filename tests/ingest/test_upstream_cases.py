"""Replies of kinds that were once handled wrongly, through provider and store: the cases of the fixtures.

fixtures/cases/upstream/CASES.md gives the right result of each. A case that no test here names is read as
well: it must give an answer or a known error.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry

from finstage_market.errors import FinstageError, NotFound
from finstage_runtime.clock import ManualClock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.refresh import Refresher
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.providers.fallback import Providers
from services.ingest.providers.yahoo_bars import GRANULARITIES
from services.ingest.series import FlagReason, Quote, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from services.ingest.store.values import Adjustment, SeriesRead
from services.ingest.upstream.metrics import UpstreamMetrics
from tests.ingest.scripted_upstream import Answer, upstream

NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"
NOW = "2026-11-28T08:00+00:00"
JUMP = FlagReason.SUSPICIOUS_JUMP


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1000)


@dataclass(frozen=True)
class Case:
    """A reply, served for every request, and the parts of ingest that read it."""

    key: SeriesKey
    providers: Providers
    store: Store
    clock: ManualClock

    def refresh(self) -> None:
        """Refresh the series twice: the second, equal reply changes nothing."""

        async def run() -> set[int]:
            threads = BoundedExecutor(threads=2, queued=10, name="threads")
            refresher = Refresher(
                self.store,
                self.providers,
                upstream=threads,
                database=threads,
                writing=threads,
                clock=self.clock,
            )
            refreshed = [await refresher.ensure(self.key, max_age_s=0.0, deadline=None) for _ in range(2)]
            threads.close()
            assert [error for _, error in refreshed] == [None, None]
            return {state.epoch for state, _ in refreshed}

        assert asyncio.run(run()) == {1}

    def read(self, adjustment: Adjustment = "SPLITS") -> SeriesRead:
        found = self.store.bars.read(self.key, adjustment=adjustment)
        assert found is not None
        return found

    def opens(self, zone: str) -> list[str]:
        times = self.read().columns.open_time_ms.tolist()
        return [f"{datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)):%m-%d %H:%M}" for ms in times]

    def gaps(self, start: str, end: str) -> list[tuple[str, str, str]]:
        """Return (start, end, reason) of the gaps in a range, in UTC."""
        coverage = self.store.bars.coverage(self.key, start_ms=at(start), end_ms=at(end))

        def text(ms: int) -> str:
            return f"{datetime.fromtimestamp(ms / 1000, UTC):%m-%dT%H:%M}"

        return [(text(gap.start_ms), text(gap.end_ms), gap.reason.value) for gap in coverage.gaps]

    def flags(self) -> list[tuple[int, FlagReason]]:
        return [(flag.open_time_ms, flag.reason) for flag in self.store.bars.coverage(self.key).flags]

    def quote(self) -> Quote | FinstageError:
        [found] = self.providers.fetch_quotes([self.key.symbol], deadline=None)
        return found


@contextmanager
def serving(body: bytes, folder: Path, *, now: str = NOW, symbol: str = "") -> Iterator[Case]:
    meta = json.loads(body)["chart"]["result"][0]["meta"]
    intervals = {granularity: interval for interval, granularity in GRANULARITIES.items()}
    key = SeriesKey(symbol or meta["symbol"], intervals[meta["dataGranularity"]])
    clock = ManualClock(at(now) / 1000)
    with upstream(Answer(200, body)) as server:
        settings = UpstreamSettings(url=server.url)
        providers = open_providers(["yahoo"], Parts(settings, clock, UpstreamMetrics(CollectorRegistry())))
        store = open_store(f"sqlite:///{folder}/finstage.db", clock=clock)
        yield Case(key, providers, store, clock)
        providers.close()
        store.close()


@pytest.fixture
def folder(fixtures: Path) -> Path:
    found = fixtures / "cases" / "upstream"
    if not found.is_dir():
        pytest.skip(f"no cases at {found}; set FINSTAGE_FIXTURES to the folder that has them")
    return found


@pytest.fixture
def case(folder: Path, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Open a case by its name, and refresh its series."""
    with ExitStack() as stack:

        def opened(name: str, *, now: str = NOW, symbol: str = "") -> Case:
            body = (folder / f"{name}.json").read_bytes()
            found = stack.enter_context(serving(body, tmp_path, now=now, symbol=symbol))
            found.refresh()
            return found

        yield opened


Open = Callable[..., Case]


def test_every_case_is_an_answer_or_a_known_error(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.glob("*.json")):
        (tmp_path / path.stem).mkdir()
        with serving(path.read_bytes(), tmp_path / path.stem) as found:
            try:
                found.refresh()
                assert len(found.read().columns) > 0, path.name
            except NotFound:
                continue


def test_a_calendar_that_cannot_be_made_explains_nothing_and_fails_nothing(case: Open) -> None:
    tel_aviv = case("tel_aviv_1d_internal")
    assert len(tel_aviv.read().columns) == 9
    assert tel_aviv.gaps("2026-11-16T08:00", "2026-11-28") == []


def test_hours_count_from_the_session_s_start(case: Open) -> None:
    hours = [f"{hour:02}:20" for hour in range(7, 14)]
    days = ["11-23", "11-24", "11-25"]
    assert case("tnx_1h_session_at_0720").opens(CHICAGO) == [f"{d} {h}" for d in days for h in hours]


def test_the_last_hour_of_a_day_of_25_hours_is_there(case: Open) -> None:
    opens = case("gc_1h_fall_back_day").opens(NEW_YORK)
    assert len(opens) == 10
    assert "11-01 23:00" in opens


def test_friday_is_final_at_the_weekend(case: Open) -> None:
    weekend = case("saturday_row_of_friday_and_live_row", now="2026-11-21T18:00-05:00").read()
    assert weekend.last_is_final
    assert weekend.columns.open_time_ms[-1] == at("2026-11-20T09:30", NEW_YORK)
    assert weekend.columns.volume[-1] == 1004


def test_tomorrow_s_dividend_lowers_prices_once(case: Open) -> None:
    eve = case("dividend_of_tomorrow_already_in_adjclose", now="2026-11-25T22:00-05:00")
    assert eve.read("ALL").columns.close[-1] == 137.22


def test_sessions_missing_after_the_last_bar_are_gaps(case: Open) -> None:
    assert case("last_sessions_missing_at_the_tail").gaps("2026-11-23T05:00", "2026-11-28T05:00") == [
        ("11-23T05:00", "11-26T05:00", "PROVIDER_MISSING"),
        ("11-26T05:00", "11-27T05:00", "MARKET_CLOSED"),
        ("11-27T05:00", "11-28T05:00", "PROVIDER_MISSING"),
    ]


def test_a_split_that_is_listed_and_not_applied_is_flagged(case: Open) -> None:
    found = case("split_not_applied_to_the_history")
    assert found.flags() == [(int(found.read().columns.open_time_ms[3]), JUMP)]


def test_a_dividend_in_pounds_lowers_prices_in_pence(case: Open) -> None:
    pence = case("dividend_in_pounds_prices_in_pence_1h")
    given, adjusted = pence.read().columns.close, pence.read("ALL").columns.close
    assert adjusted[0] / given[0] == pytest.approx(0.98, abs=1e-4)
    assert adjusted[-1] == given[-1]


def test_a_negative_settlement_traded(case: Open) -> None:
    oil = case("negative_settlement")
    assert len(oil.read().columns) == 9
    assert oil.read().columns.low.min() == -40.3
    assert oil.store.rejections.find(symbol="CL=F") == ()


def test_another_name_of_the_symbol_asked_for_is_its_answer(case: Open) -> None:
    dollar = case("fx_alias_asked_USDEUR", symbol="USDEUR=X")
    assert len(dollar.read().columns) == 5
    quote = dollar.quote()
    assert isinstance(quote, Quote)
    assert (quote.symbol, quote.price) == ("USDEUR=X", 100.7)

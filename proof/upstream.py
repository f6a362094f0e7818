"""The proof of the way in: broken replies and a broken upstream.

- A million mutated recorded replies (proof/chart_fuzz.py): each gives a known failure or right bars.
- The account's client and ours, against the local market with the same faults: a fifth of the requests gets
  429, some with Retry-After in either form, and one in twenty is reset. A call has 30 s.
- An upstream that is away: how often it is asked once the breaker is open.
- A thousand concurrent callers of one symbol.

The results are written to var/proof/upstream.json.
"""

import argparse
import asyncio
import logging
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from bench import report
from bench.report import sized
from bench.upstream import NaiveClient
from finstage_runtime.breaker import BreakerState
from finstage_runtime.clock import SYSTEM
from finstage_runtime.executor import BoundedExecutor
from proof.chart_fuzz import Tally, fuzz
from services.ingest.fetching.lookups import Lookups
from services.ingest.providers.api import Provider
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.series import Quote
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import RetryPolicy
from sim.faults import Fault
from sim.server import Sim, start

REPO = Path(__file__).resolve().parent.parent
DEADLINE_S = 30.0
SYMBOLS = ("AAPL", "MSFT", "^GSPC", "BTC-USD", "7203.T", "VOD.L", "EURUSD=X", "GC=F", "SAP.DE", "QQQ")
FAULTS = (
    Fault("rate_limited", rate=0.10, seed=1, form="none"),
    Fault("rate_limited", rate=0.06, seed=2, form="seconds", retry_after=1),
    Fault("rate_limited", rate=0.06, seed=3, form="date", retry_after=1),
    Fault("reset", rate=0.05, seed=4),
)


@dataclass(frozen=True)
class Finding:
    """One result. failed: how often it went wrong; goal and value if it is a measurement."""

    name: str
    tried: int
    failed: int
    value: float | None = None
    unit: str = ""
    goal: str = ""
    holds: bool = True
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """The outcome of calls. seconds: of each call, sorted; a failed call counts as the deadline."""

    calls: int
    succeeded: int
    seconds: tuple[float, ...]
    requests: int
    early: int

    def percentile(self, share: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def fuzzing(folder: Path, *, count: int, seed: int, processes: int) -> list[Finding]:
    """Try mutated replies."""
    total, piece = Tally(), 5_000
    if processes == 1:
        total = fuzz(folder, count=count, seed=seed)
    else:
        with ProcessPoolExecutor(processes) as pool:
            pieces = [
                pool.submit(fuzz, folder, count=min(piece, count - first), seed=seed, first=first)
                for first in range(0, count, piece)
            ]
            for done, future in enumerate(pieces, 1):
                total.add(future.result())
                if done % 20 == 0:
                    _say(f"  {total.tried:,} replies, {len(total.broken)} broken")
    data = total.outcomes["data"]
    return [
        Finding(
            f"mutated replies: a known failure or right bars ({data:,} data, {total.bars:,} bars)",
            total.tried,
            len(total.broken),
            goal="0 broken",
            holds=not total.broken,
            examples=tuple(total.broken[:20]),
        )
    ]


async def run(price: Callable[[str], Awaitable[object]], sim: Sim, *, calls: int, workers: int) -> Run:
    """Run `calls` calls, some at once; a call that raises, or ends after the deadline, has failed."""
    places = asyncio.Semaphore(workers)

    async def call(number: int) -> float | None:
        async with places:
            started = time.monotonic()
            try:
                await price(SYMBOLS[number % len(SYMBOLS)])
            except Exception:
                return None
            took = time.monotonic() - started
            return took if took <= DEADLINE_S else None

    took = await asyncio.gather(*(call(number) for number in range(calls)))
    stats = sim.stats.summary(limit=0)
    seconds = tuple(sorted(DEADLINE_S if s is None else s for s in took))
    return Run(calls, sum(s is not None for s in took), seconds, stats["requests"], stats["early"])


async def with_theirs(sim: Sim, *, calls: int, workers: int, base_s: float) -> Run:
    """Run calls of the account's client, from threads."""
    naive = NaiveClient(sim.url)
    with ThreadPoolExecutor(workers) as pool:

        async def price(symbol: str) -> float:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, lambda: naive.price(symbol, base_s=base_s))

        return await run(price, sim, calls=calls, workers=workers)


async def with_ours(sim: Sim, *, calls: int, workers: int, base_s: float) -> Run:
    """Run calls as FetchQuotes makes them."""
    provider = _provider(sim, RetryPolicy(base_s=base_s))
    upstream = BoundedExecutor(threads=workers, queued=2000, name="upstream")
    lookups = Lookups(provider, upstream=upstream, clock=SYSTEM)

    async def price(symbol: str) -> Quote:
        [quote] = await lookups.quotes([symbol], deadline=_deadline())
        if not isinstance(quote, Quote):
            raise quote
        return quote

    result = await run(price, sim, calls=calls, workers=workers)
    upstream.close()
    provider.close()
    return result


def side_by_side(*, calls: int, workers: int, base_s: float) -> list[Finding]:
    """Compare the account's client with ours under the same faults."""
    results = []
    for client in (with_theirs, with_ours):
        with start() as sim:
            for fault in FAULTS:
                sim.faults.add(fault)
            results.append(asyncio.run(client(sim, calls=calls, workers=workers, base_s=base_s)))
    theirs, ours = results
    findings = []
    for name, result, has_goals in (("the account's client", theirs, False), ("ours", ours, True)):
        success = result.succeeded / result.calls
        failed = result.calls - result.succeeded
        findings += [
            Finding(
                f"{name}: calls answered within {DEADLINE_S:g} s",
                result.calls,
                failed,
                round(100 * success, 2),
                "%",
                "≥ 99.5 %" if has_goals else "",
                not has_goals or success >= 0.995,
            ),
            Finding(
                f"{name}: requests sent before a Retry-After was over",
                result.requests,
                result.early,
                result.early,
                "requests",
                "0" if has_goals else "",
                not has_goals or result.early == 0,
            ),
            Finding(
                f"{name}: requests an answer",
                result.calls,
                0,
                round(result.requests / max(1, result.succeeded), 3),
                "requests",
            ),
            Finding(f"{name}: p50", result.calls, 0, round(statistics.median(result.seconds), 3), "s"),
            Finding(f"{name}: p99", result.calls, 0, round(result.percentile(0.99), 3), "s"),
        ]
    return findings


def outage(*, seconds: float, workers: int) -> list[Finding]:
    """Call without a pause while every request ends with a 503."""
    with start() as sim:
        sim.faults.add(Fault("server_error", status=503))
        provider = _provider(sim, RetryPolicy(base_s=0.05))
        ends = time.monotonic() + seconds

        def hammer(number: int) -> tuple[int, int, float | None]:
            """Call; return the calls, the answers, and when this caller first saw the breaker open."""
            calls = answers = 0
            opened: float | None = None
            while time.monotonic() < ends:
                [quote] = provider.fetch_quotes([SYMBOLS[number % len(SYMBOLS)]], deadline=_deadline())
                calls += 1
                answers += isinstance(quote, Quote)
                [status] = provider.status()
                if opened is None and status.breaker is not BreakerState.CLOSED:
                    opened = time.time()
                time.sleep(0.01)
            return calls, answers, opened

        with ThreadPoolExecutor(workers) as pool:
            hammered = list(pool.map(hammer, range(workers)))
        log = sim.stats.summary(limit=100_000)["log"]
        provider.close()
    opened = min(o for _, _, o in hammered if o is not None)
    # Leave out the requests in flight when it opened.
    after = [seen for seen in log if seen["at"] > opened + 0.5]
    per_s = len(after) / (log[-1]["at"] - opened if after else seconds)
    calls = sum(calls for calls, _, _ in hammered)
    return [
        Finding(
            f"an outage of {seconds:g} s: requests a second once the breaker is open ({len(log)} in all)",
            calls,
            sum(answers for _, answers, _ in hammered),
            round(max(per_s, len(after) / seconds), 3),
            "requests/s",
            "≤ 1.1 requests/s",
            max(per_s, len(after) / seconds) <= 1.1,
        )
    ]


def together(*, callers: int) -> list[Finding]:
    """Let callers ask for one symbol at the same time."""

    async def ask(sim: Sim) -> int:
        provider = _provider(sim, RetryPolicy())
        upstream = BoundedExecutor(threads=16, queued=2000, name="upstream")
        lookups = Lookups(provider, upstream=upstream, clock=SYSTEM)
        answers = await asyncio.gather(*(lookups.quotes(["AAPL"], deadline=None) for _ in range(callers)))
        upstream.close()
        provider.close()
        return sum(not isinstance(answer, Quote) for [answer] in answers)

    with start() as sim:
        sim.faults.add(Fault("latency", seconds=0.1))
        failed = asyncio.run(ask(sim))
        requests = sim.stats.summary(limit=0)["requests"]
    name = f"{callers:,} callers of one symbol: upstream requests"
    return [Finding(name, callers, failed, requests, "requests", "1", requests == 1 and not failed)]


def _provider(sim: Sim, retry: RetryPolicy) -> Provider:
    parts = Parts(
        UpstreamSettings(sim_url=sim.url, retry=retry), SYSTEM, UpstreamMetrics(CollectorRegistry())
    )
    return open_provider("sim", parts)


def _deadline() -> float:
    return SYSTEM.monotonic() + DEADLINE_S


def _say(text: str) -> None:
    print(text, flush=True)


def tell(findings: Sequence[Finding]) -> bool:
    """Print and save the findings; return whether all of them hold."""
    for found in findings:
        value = "" if found.value is None else f"{found.value:g} {found.unit}"
        mark = "" if not found.goal else "holds" if found.holds else "DOES NOT HOLD"
        _say(f"{found.name}: {found.tried:,} tried, {found.failed:,} failed  {value}  {found.goal}  {mark}")
        for example in found.examples:
            _say(f"    {example}")
    report.save("proof/upstream", [asdict(found) for found in findings])
    return all(found.holds for found in findings)


def main() -> None:
    """Run the proof from the command line."""
    fixtures = Path(os.environ.get("FINSTAGE_FIXTURES", REPO.parent / "shared" / "fixtures"))
    parser = argparse.ArgumentParser(description="The proof of the way in.")
    parser.add_argument("--replies", type=int, default=sized(1_000_000, 6_000))
    parser.add_argument("--calls", type=int, default=sized(600, 40))
    parser.add_argument("--outage", type=float, default=sized(60.0, 3.0), metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    findings: list[Finding] = []
    if (fixtures / "yahoo").is_dir():
        _say(f"{args.replies:,} mutated replies")
        processes = os.cpu_count() or 1
        findings += fuzzing(fixtures / "yahoo", count=args.replies, seed=args.seed, processes=processes)
    else:
        _say(f"no recorded replies at {fixtures}; set FINSTAGE_FIXTURES")
        findings.append(Finding("mutated replies", 0, 0, goal="0 broken", holds=False))
    _say("both clients on the same faults")
    findings += side_by_side(calls=args.calls, workers=16, base_s=sized(2.0, 0.1))
    _say("an outage")
    findings += outage(seconds=args.outage, workers=8)
    findings += together(callers=1000)
    sys.exit(0 if tell(findings) else 1)


if __name__ == "__main__":
    main()

"""Requests to an upstream: parsing of replies, and repeated requests for one price.

The replies are those of the local market: 2,500 daily bars. Three ways to read them: the provider, which
returns checked bars with their gaps and events; json and pandas with the same result; json and pandas into an
unchecked frame.

The price is requested in the two ways of the account that the project began from: before (a new connection
each time, and a fixed pause against rate limits) and after (a pooled connection, a cache of 60 s). The market
answers after LATENCY_S. `NaiveClient` is that account's retrying client; proof/upstream.py compares it with
ours.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import requests
from prometheus_client import CollectorRegistry

from bench import report
from bench.report import sized
from finstage_cache import Policy, open_cache
from finstage_market.interval import Interval
from finstage_runtime.clock import SYSTEM
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.providers.yahoo_bars import Window, fetched_bars
from services.ingest.providers.yahoo_chart import Chart, read_chart
from services.ingest.series import FetchedBars, Quote, SeriesKey
from services.ingest.upstream.metrics import UpstreamMetrics
from sim.faults import Fault
from sim.server import Sim, start

BARS = 2_500
LATENCY_S = sized(0.15, 0.02)
PAUSE_S = sized(1.0, 0.1)
ALWAYS = Window(-(10**14), 10**14)


class NaiveClient:
    """The account's client: a pooled session, 10 s per request, retries after exponential waits with jitter.

    It keeps the account's faults: it retries everything, even a 404; it reads Retry-After and ignores it; it
    adds jitter past the cap; it knows no deadline.
    """

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep, seed: int = 1) -> None:
        self._url = url
        self._session = requests.Session()
        self._sleep = sleep
        self._rng = random.Random(seed)

    def price(self, symbol: str, *, max_retries: int = 3, base_s: float = 2.0, max_s: float = 60.0) -> float:
        """Return the price of `symbol`. Raises the error of the last request."""
        for attempt in range(max_retries + 1):
            try:
                return self._once(symbol)
            except Exception as error:
                if attempt == max_retries:
                    raise
                response = getattr(error, "response", None)
                if response is not None:
                    response.headers.get("Retry-After")  # read, and ignored
                self._sleep(min(base_s * 2**attempt, max_s) + self._rng.uniform(0, 1))
        raise AssertionError

    def _once(self, symbol: str) -> float:
        params = {"interval": "1m", "range": "1d"}
        response = self._session.get(f"{self._url}/v8/finance/chart/{symbol}", params=params, timeout=10)
        response.raise_for_status()
        price: float = response.json()["chart"]["result"][0]["meta"]["regularMarketPrice"]
        return price


def frame_of(body: bytes) -> pd.DataFrame:
    """Return a reply as a frame, unchecked."""
    result = json.loads(body)["chart"]["result"][0]
    index = pd.to_datetime(result["timestamp"], unit="s", utc=True)
    index = index.tz_convert(result["meta"]["exchangeTimezoneName"])
    frame = pd.DataFrame(result["indicators"]["quote"][0], index=index)
    frame["adjclose"] = result["indicators"]["adjclose"][0]["adjclose"]
    frame.attrs["events"] = result.get("events", {})
    return frame


def with_pandas(body: bytes) -> tuple[pd.DataFrame, pd.DatetimeIndex, dict[str, pd.DataFrame]]:
    """Read a reply by pandas into the provider's result.

    That is: ordered bars with valid prices, one per time; the times of rows without prices; events by date.
    """
    frame = frame_of(body).sort_index()
    frame = frame[~frame.index.duplicated()]
    missing = frame.index[frame[["open", "high", "low", "close"]].isna().any(axis=1)]
    frame = frame.dropna(subset=["open", "high", "low", "close"])
    low, high = frame[["open", "close"]].min(axis=1), frame[["open", "close"]].max(axis=1)
    frame = frame[
        (frame["low"] > 0) & (frame["low"] <= low) & (frame["high"] >= high) & (frame["volume"] >= 0)
    ]
    events = {}
    for kind, entries in frame.attrs["events"].items():
        events[kind] = pd.DataFrame.from_dict(entries, orient="index")
        events[kind]["date"] = pd.to_datetime(events[kind]["date"], unit="s", utc=True)
    return frame, pd.DatetimeIndex(missing), events


def with_provider(body: bytes) -> FetchedBars:
    """Return a reply as the provider's bars."""
    chart = read_chart(200, body)
    assert isinstance(chart, Chart)
    bars = fetched_bars(chart, SeriesKey("AAPL", Interval.D1), ALWAYS, now_ms=2 * 10**12, source="sim")
    assert isinstance(bars, FetchedBars)
    return bars


def daily_reply(sim: Sim) -> bytes:
    """Return a reply with the first BARS daily bars of a symbol."""
    url = f"{sim.url}/v8/finance/chart/AAPL?interval=1d&period1=0&period2=1500000000&events=div,split"
    reply: dict[str, Any] = requests.get(url, timeout=30).json()
    [result] = reply["chart"]["result"]
    result["timestamp"] = result["timestamp"][:BARS]
    for columns in (*result["indicators"]["quote"], *result["indicators"]["adjclose"]):
        for name in columns:
            columns[name] = columns[name][:BARS]
    return json.dumps(reply).encode()


def timed(call: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Return the mean seconds of a call."""

    def run() -> float:
        started = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - started) / times

    return run


def reading(sim: Sim) -> list[report.Row]:
    """Measure the parsing of replies."""
    body = daily_reply(sim)
    assert len(with_provider(body).bars.columns) == len(with_pandas(body)[0]) == BARS
    times = report.interleaved(
        {
            "frame": timed(lambda: frame_of(body), 5),
            "pandas": timed(lambda: with_pandas(body), 5),
            "provider": timed(lambda: with_provider(body), 20),
        },
        rounds=15,
    )
    name, ours = "json + pandas, the same checked bars and events", times["provider"]
    return [
        report.row(f"read {BARS:,} bars: json + pandas, a frame unchecked", times["frame"], "ms", scale=1e3),
        report.row(f"read {BARS:,} bars: {name}", times["pandas"], "ms", scale=1e3),
        report.row(
            f"read {BARS:,} bars: provider",
            ours,
            "ms",
            scale=1e3,
            against=name,
            base=times["pandas"],
            goal=report.at_most(1 / 8),
        ),
        report.row(
            f"read {BARS:,} bars: provider, against the frame",
            ours,
            "ms",
            scale=1e3,
            against="json + pandas, a frame unchecked",
            base=times["frame"],
        ),
    ]


async def asking(sim: Sim) -> list[report.Row]:
    """Measure repeated requests for one price."""
    sim.faults.add(Fault("latency", seconds=LATENCY_S))
    settings = UpstreamSettings(sim_url=sim.url)
    provider = open_provider("sim", Parts(settings, SYSTEM, UpstreamMetrics(CollectorRegistry())))

    def alone() -> None:
        requests.get(f"{sim.url}/v8/finance/chart/AAPL?interval=1m&range=1d", timeout=10).json()
        time.sleep(PAUSE_S)

    def pooled() -> bytes:
        [quote] = provider.fetch_quotes(["AAPL"], deadline=None)
        assert isinstance(quote, Quote)
        return str(quote.price).encode()

    async def load() -> bytes:
        return await asyncio.to_thread(pooled)

    async with open_cache("memory://") as cache:
        policy = Policy(fresh_s=60.0)

        async def cached() -> float:
            started = time.perf_counter()
            for _ in range(1000):
                await cache.get_or_load("quote:AAPL", load, policy)
            return (time.perf_counter() - started) / 1000

        times = await report.interleaved_async(
            {"alone": timed(alone), "pooled": timed(pooled), "cached": cached}, rounds=7
        )
    provider.close()
    base = times["alone"]
    name = f"new connection, {PAUSE_S:g} s pause"
    return [
        report.row(f"one price: {name}", base, "s"),
        report.row(
            "one price: pooled", times["pooled"], "s", against=name, base=base, goal=report.at_most(0.25)
        ),
        report.row(
            "one price: cached",
            times["cached"],
            "ms",
            scale=1e3,
            against=name,
            base=base,
            goal=report.at_most(0.01),
        ),
    ]


def main() -> None:
    """Run the bench."""
    with start() as sim:
        rows = reading(sim)
        rows += asyncio.run(asking(sim))
    notes = [
        report.versions("orjson", "numpy", "pandas", "requests"),
        f"the market answers after {LATENCY_S:g} s; the account told of 1.2 s before and 0.3 s after",
    ]
    sys.exit(0 if report.write("upstream", rows, notes=notes) else 1)


if __name__ == "__main__":
    main()

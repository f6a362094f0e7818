"""Nine indicators over 2,500 bars: the account's way with pandas, TA-Lib alone, and the service.

The account's way makes a DataFrame for each indicator and computes with rolling and ewm. TA-Lib alone is the
limit: nine calls over arrays, without checks or metadata. The service is measured twice: from a request's
specs to arrays, in this process; and as one ComputeIndicators call over gRPC, with client and server on one
event loop, the bars cached, and 500 bars in the answer.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import talib
import uvloop

from bench import report
from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_cache import open_cache
from finstage_market.columns import VALUES, Columns
from finstage_market.interval import Interval
from finstage_rpc import logs
from finstage_rpc.channel import open_channel
from finstage_rpc.fields import Fields
from finstage_rpc.server import Server
from finstage_rpc.settings import ChannelSettings, ServerSettings
from finstage_runtime.executor import BoundedExecutor
from services.indicators.bars import Series, SeriesQuery
from services.indicators.compute import compute
from services.indicators.engine import Engine
from services.indicators.inputs import Inputs
from services.indicators.servicer import IndicatorServicer, indicator_service
from services.indicators.specs import read_specs
from services.indicators.variants import whole_catalogue

BARS = 2_500
NINE = ("sma", "ema", "rsi", "macd", "bbands", "atr", "stoch", "obv", "adx")
SPECS = [pb.IndicatorSpec(name=name) for name in NINE]
METHOD = "/finstage.indicators.v1.IndicatorService/ComputeIndicators"


def sample(count: int) -> Columns:
    """Return a random walk of days."""
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    high, low = close * (1 + rng.random(count) * 0.01), close * (1 - rng.random(count) * 0.01)
    return Columns.of(np.arange(count) * 86_400_000, close, high, low, close, rng.random(count) * 1e6)


def account(bars: Columns) -> list[object]:
    """Compute the nine in the account's way."""

    def read() -> pd.DataFrame:
        index = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
        return pd.DataFrame({name: getattr(bars, name) for name in VALUES}, index=index)

    def ema(values: pd.Series, span: int) -> pd.Series:
        return values.ewm(span=span, adjust=False).mean()

    def wilder(values: pd.Series, period: int) -> pd.Series:
        return values.ewm(alpha=1 / period, adjust=False).mean()

    def true_range(df: pd.DataFrame) -> pd.Series:
        before = df["close"].shift()
        ranges = (df["high"] - df["low"], (df["high"] - before).abs(), (df["low"] - before).abs())
        return pd.concat(ranges, axis=1).max(axis=1)

    def rsi(df: pd.DataFrame) -> object:
        change = df["close"].diff()
        gain, loss = change.clip(lower=0).rolling(14).mean(), (-change.clip(upper=0)).rolling(14).mean()
        return 100 - 100 / (1 + gain / loss)

    def macd(df: pd.DataFrame) -> object:
        line = ema(df["close"], 12) - ema(df["close"], 26)
        return line, ema(line, 9), line - ema(line, 9)

    def bbands(df: pd.DataFrame) -> object:
        middle, width = df["close"].rolling(20).mean(), 2 * df["close"].rolling(20).std()
        return middle + width, middle, middle - width

    def stoch(df: pd.DataFrame) -> object:
        low, high = df["low"].rolling(5).min(), df["high"].rolling(5).max()
        k = (100 * (df["close"] - low) / (high - low)).rolling(3).mean()
        return k, k.rolling(3).mean()

    def adx(df: pd.DataFrame) -> object:
        up, down = df["high"].diff(), -df["low"].diff()
        atr = wilder(true_range(df), 14)
        plus = 100 * wilder(up.where((up > down) & (up > 0), 0.0), 14) / atr
        minus = 100 * wilder(down.where((down > up) & (down > 0), 0.0), 14) / atr
        return wilder(100 * (plus - minus).abs() / (plus + minus), 14)

    indicators: list[Callable[[pd.DataFrame], object]] = [
        lambda df: df["close"].rolling(30).mean(),
        lambda df: ema(df["close"], 30),
        rsi,
        macd,
        bbands,
        lambda df: wilder(true_range(df), 14),
        stoch,
        lambda df: (np.sign(df["close"].diff()).fillna(0) * df["volume"]).cumsum(),
        adx,
    ]
    return [indicator(read()) for indicator in indicators]


def bare(bars: Columns) -> list[object]:
    """Compute the nine by TA-Lib alone."""
    high, low, close = bars.high, bars.low, bars.close
    return [
        talib.SMA(close),
        talib.EMA(close),
        talib.RSI(close),
        talib.MACD(close),
        talib.BBANDS(close),
        talib.ATR(high, low, close),
        talib.STOCH(high, low, close),
        talib.OBV(close, bars.volume),
        talib.ADX(high, low, close),
    ]


class HeldBars:
    """A BarsSource with one series."""

    def __init__(self, columns: Columns) -> None:
        header = series_pb2.BarSeries(symbol="BENCH", interval=Interval.D1, last_is_final=True)
        self._series = Series(header, columns)

    async def read(self, query: SeriesQuery) -> Series:
        return self._series


def seconds(work: Callable[[], object], times: int) -> Callable[[], float]:
    """Return a case that runs `work` that many times and returns the seconds of one run."""

    def case() -> float:
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - begun) / times

    return case


async def main() -> None:
    bars, catalogue = sample(BARS), whole_catalogue()

    def ours() -> list[object]:
        fields = Fields()
        specs = read_specs(fields, SPECS, catalogue)
        fields.done()
        inputs = Inputs(bars)
        return [compute(inputs, spec) for spec in specs]

    executor = BoundedExecutor(threads=1, queued=1, name="compute")
    async with open_cache("memory://") as cache:
        servicer = IndicatorServicer(
            catalogue, Engine(cache, executor, fresh_s=600.0), HeldBars(bars), batch_concurrency=1
        )
        server = Server(
            ServerSettings.model_validate({"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0"}),
            [indicator_service(servicer)],
        )
        await server.start()
        channel = open_channel(
            f"127.0.0.1:{server.port}", ChannelSettings.model_validate({}), name="indicators"
        )

        async def calls(*parts: list[pb.IndicatorSpec], times: int = 20) -> float:
            requests = [
                pb.ComputeIndicatorsRequest(symbol="BENCH", interval=Interval.D1, specs=part)
                for part in parts
            ]
            begun = time.perf_counter()
            for _ in range(times):
                for request in requests:
                    await channel.call(METHOD, request, pb.ComputeIndicatorsResponse)
            return (time.perf_counter() - begun) / times

        times = await report.interleaved_async(
            {
                "account": seconds(lambda: account(bars), 3),
                "bare": seconds(lambda: bare(bars), 100),
                "ours": seconds(ours, 100),
                "one call": lambda: calls(SPECS),
                "nine calls": lambda: calls(*([spec] for spec in SPECS)),
            },
            rounds=9,
        )
        await channel.close()
        await server.stop()
    executor.close()
    rows = [
        report.row("bare TA-Lib", times["bare"], "µs", scale=1e6),
        report.row(
            "the account's way", times["account"], "µs", scale=1e6, against="bare TA-Lib", base=times["bare"]
        ),
        report.row(
            "specs to arrays", times["ours"], "µs", scale=1e6, against="bare TA-Lib", base=times["bare"]
        ),
        report.row(
            "one call over gRPC",
            times["one call"],
            "µs",
            scale=1e6,
            against="the account's way",
            base=times["account"],
        ),
        report.row(
            "nine calls over gRPC",
            times["nine calls"],
            "µs",
            scale=1e6,
            against="one call",
            base=times["one call"],
        ),
    ]
    report.write(
        "indicators",
        rows,
        notes=[f"{', '.join(NINE)} over {BARS} bars", report.versions("ta-lib", "pandas", "numpy", "grpcio")],
    )


if __name__ == "__main__":
    logs.configure(level="WARNING", log_format="console")
    uvloop.run(main())

"""Synthetic bars (flat, without volume, halted, rising without a fall), and their messages."""

from typing import Any

import numpy as np

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.columns import Columns

DAY_MS = 86_400_000


def walk(n: int, *, seed: int = 3) -> Columns:
    """Return ordinary bars in cents: a random walk with ranges and volume."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, n))), 2)
    open_ = np.round(close + rng.normal(0, 0.3, n), 2)
    high = np.round(np.maximum(open_, close) + 0.01 + rng.random(n), 2)
    low = np.round(np.minimum(open_, close) - 0.01 - rng.random(n), 2)
    return Columns.of(np.arange(n) * DAY_MS, open_, high, low, close, np.round(rng.random(n) * 1e6) + 1e3)


def flat(n: int, price: float = 5.0, volume: float = 0.0) -> Columns:
    """Return bars at one price."""
    return Columns.of(np.arange(n) * DAY_MS, *(np.full(n, price) for _ in range(4)), np.full(n, volume))


def rise(n: int) -> Columns:
    """Return bars in which every value is above the one before, by changing steps."""
    close = 100 + np.cumsum(1.0 + 0.5 * np.sin(np.arange(n)))
    return Columns.of(np.arange(n) * DAY_MS, close - 0.2, close + 0.1, close - 0.3, close, np.full(n, 1e3))


def with_columns(bars: Columns, **columns: object) -> Columns:
    """Return `bars` with other values in some columns."""
    names = ("open", "high", "low", "close", "volume")
    return Columns.of(bars.open_time_ms, *(columns.get(name, getattr(bars, name)) for name in names))  # type: ignore[arg-type]


def without_volume(bars: Columns) -> Columns:
    """Return `bars` without volume."""
    return with_columns(bars, volume=np.zeros(len(bars)))


def joined(*parts: Columns) -> Columns:
    """Return the parts one after the other, a day apart."""
    whole = Columns.concat(parts)
    return Columns.of(
        np.arange(len(whole)) * DAY_MS, whole.open, whole.high, whole.low, whole.close, whole.volume
    )


def halted(traded: Columns, n: int) -> Columns:
    """Return `traded`, followed by `n` bars at its last close without volume."""
    return joined(traded, flat(n, float(traded.close[-1])))


def many_bars(n: int) -> Columns:
    """Return a random walk of minutes."""
    rng = np.random.default_rng(5)
    close = 100 + np.cumsum(rng.normal(size=n)) * 0.01
    return Columns.of(np.arange(n) * 60_000, close, close + 1, close - 1, close, np.ones(n))


def as_message(bars: Columns) -> series_pb2.BarColumns:
    """Return the bars as a message."""
    return series_pb2.BarColumns(
        open_time_ms=bars.open_time_ms,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
    )


def spec(name: str, **fields: Any) -> pb.IndicatorSpec:
    """Return a spec as a message."""
    return pb.IndicatorSpec(name=name, **fields)

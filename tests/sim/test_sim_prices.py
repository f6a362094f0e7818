"""The price model, and the market at a moment."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.clock import FakeClock, epoch
from sim.instruments import Kind
from sim.listings import table
from sim.market import Market, UnknownSymbolError
from sim.prices import Bars

REPO = Path(__file__).resolve().parents[2]
NOW = epoch("2025-06-04T15:30:07Z")
# One symbol for every kind of instrument and of session.
KINDS = ["AAPL", "SPY", "^GSPC", "GC=F", "EURUSD=X", "BTC-USD", "7203.T", "VOD.L", "NVDA"]

_DIGEST = """
import hashlib, numpy as np
from sim.listings import table
from sim.market import Market
market = Market(table(), seed=7, clock=lambda: {now})
digest = hashlib.sha256()
for symbol in {kinds}:
    view = market.at(symbol)
    i = view.last
    for bars in (view.daily(0, i + 1), view.intraday(i - 1, 300), view.intraday(i, 60)):
        for column in (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume):
            digest.update(np.ascontiguousarray(column).tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(table(), seed=7, clock=FakeClock(NOW))


def _same(a: Bars, b: Bars) -> bool:
    columns = ("time", "open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns)


def test_prices_are_the_same_in_every_process() -> None:
    code = _DIGEST.format(now=NOW, kinds=KINDS)

    def digest(hash_seed: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", code], cwd=REPO, env=env, check=True, capture_output=True, text=True
        ).stdout

    assert digest("1") == digest("2") != hashlib.sha256().hexdigest()


def test_another_seed_is_another_market(market: Market) -> None:
    other = Market(table(), seed=8, clock=lambda: NOW)
    assert not np.array_equal(market.at("AAPL").daily(0, 100).close, other.at("AAPL").daily(0, 100).close)


@pytest.mark.parametrize("symbol", sorted(table()))
def test_every_day_of_every_symbol_is_a_bar(market: Market, symbol: str) -> None:
    """Positive, finite, low <= open and close <= high, ordered by time, and near the price of the table."""
    view = market.at(symbol)
    bars = view.daily(0, view.last + 1)
    assert np.isfinite(bars.high).all()
    assert (bars.low > 0).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.volume >= 0).all()
    assert (np.diff(bars.time) > 0).all()
    assert 0.2 < bars.close[-1] / view.instrument.price < 5


@pytest.mark.parametrize("symbol", KINDS)
@pytest.mark.parametrize("back", [0, 1, 20, 700])
def test_a_day_is_the_aggregate_of_its_minutes(market: Market, symbol: str, back: int) -> None:
    """The forming day too."""
    view = market.at(symbol)
    i = view.last - back
    day, minutes = view.daily(i, i + 1), view.intraday(i, 60)
    assert (day.open[0], day.close[0]) == (minutes.open[0], minutes.close[-1])
    assert (day.high[0], day.low[0]) == (minutes.high.max(), minutes.low.min())
    assert day.volume[0] == minutes.volume.sum()
    assert (minutes.low <= np.minimum(minutes.open, minutes.close)).all()
    assert (minutes.high >= np.maximum(minutes.open, minutes.close)).all()


@pytest.mark.parametrize("symbol", KINDS)
def test_longer_bars_are_aggregates_of_minutes(market: Market, symbol: str) -> None:
    view = market.at(symbol)
    minutes, bars = view.intraday(view.last, 60), view.intraday(view.last, 900)
    for k, time in enumerate(bars.time):
        inside = (minutes.time >= time) & (minutes.time < time + 900)
        assert bars.high[k] == minutes.high[inside].max()
        assert bars.low[k] == minutes.low[inside].min()
        assert bars.close[k] == minutes.close[inside][-1]
        assert bars.volume[k] == minutes.volume[inside].sum()


@pytest.mark.parametrize("symbol", KINDS)
def test_past_bars_do_not_change_as_the_clock_moves(market: Market, symbol: str) -> None:
    early, late = market.at(symbol, NOW), market.at(symbol, NOW + 40 * 86_400)
    assert late.last > early.last
    assert _same(early.daily(0, early.last), late.daily(0, early.last))
    begun = early.intraday(early.last, 60)
    done = late.intraday(early.last, 60)
    assert _same(begun.cut(0, len(begun) - 1), done.cut(0, len(begun) - 1))


def test_the_forming_bar_grows_into_the_final_one(market: Market) -> None:
    opened = epoch("2025-06-04T13:30:00Z")
    final = market.at("AAPL", opened + 86_400)
    i = market.at("AAPL", opened).last
    seen = [market.at("AAPL", opened + second).live for second in range(0, 23_400, 37)]
    highs, lows, volumes = (
        np.array([v.bar.__dict__[name][0] for v in seen]) for name in ("high", "low", "volume")
    )
    assert all(live.open_now for live in seen)
    assert (np.diff(highs) >= 0).all()
    assert (np.diff(lows) <= 0).all()
    assert (np.diff(volumes) >= 0).all()
    assert len({live.bar.close[0] for live in seen}) > 100  # it moves
    closed = market.at("AAPL", opened + 23_400).live
    assert not closed.open_now
    assert _same(closed.bar, final.daily(i, i + 1))


def test_the_price_moves_within_a_minute_and_ends_at_its_close(market: Market) -> None:
    start = epoch("2025-06-04T15:31:00Z")
    prices = [market.at("BTC-USD", start + second).live.bar.close[0] for second in range(60)]
    view = market.at("BTC-USD", start + 60)
    minute = view.intraday(view.last, 60)
    k = int(np.searchsorted(minute.time, start))
    assert prices[0] == minute.open[k]
    assert len(set(prices)) > 20
    assert minute.low[k] <= min(prices) <= max(prices) <= minute.high[k]
    assert {minute.low[k], minute.high[k]} <= {*prices, minute.close[k]}


def test_the_live_price_rests_over_a_lunch_break(market: Market) -> None:
    live = market.at("7203.T", epoch("2025-06-04T03:00:00Z")).live
    assert not live.open_now
    assert live.time == epoch("2025-06-04T02:30:00Z")


@pytest.mark.parametrize("symbol", [s for s, i in table().items() if i.kind is Kind.FUND])
def test_a_fund_has_one_price_a_day_which_comes_in_the_evening(market: Market, symbol: str) -> None:
    before, view = (market.at(symbol, epoch(f"2025-06-05T{at}Z")) for at in ("00:04:59", "00:05:00"))
    assert view.last == before.last + 1
    bars = view.daily(view.last - 50, view.last + 1)
    assert np.array_equal(bars.open, bars.close)
    assert np.array_equal(bars.high, bars.low)
    assert not bars.volume.any()


def test_a_clock_that_passes_a_split_restates_the_history(market: Market) -> None:
    before = market.at("AAPL", epoch("2020-08-28T21:00:00Z"))
    after = market.at("AAPL", epoch("2020-08-31T14:00:00Z"))
    assert after.last == before.last + 1
    stop = before.last + 1
    assert before.daily(0, stop).close == pytest.approx(4 * after.daily(0, stop).close)
    assert before.daily(0, stop).volume * 4 == pytest.approx(after.daily(0, stop).volume, abs=4)
    assert len(after.splits()) == len(before.splits()) + 1
    assert after.dividends()[-1].amount == pytest.approx(before.dividends()[-1].amount / 4)


def test_adjusted_closes_take_off_every_later_dividend(market: Market) -> None:
    """Worked by hand: a close before two dividends is multiplied by (1 - d / previous close) for each."""
    view = market.at("KO")
    closes, adjusted = view.daily(0, view.last + 1).close, view.adjusted(0, view.last + 1)
    older, newer = view.dividends()[-2:]
    assert adjusted[newer.index :] == pytest.approx(closes[newer.index :])
    once = 1 - newer.amount / closes[newer.index - 1]
    twice = once * (1 - older.amount / closes[older.index - 1])
    assert adjusted[older.index] == pytest.approx(closes[older.index] * once)
    assert adjusted[older.index - 1] == pytest.approx(closes[older.index - 1] * twice)


def test_a_symbol_is_unknown_before_it_was_listed(market: Market) -> None:
    with pytest.raises(UnknownSymbolError):
        market.at("META", epoch("2012-05-17T15:00:00Z"))
    market.at("META", epoch("2012-05-18T15:00:00Z"))

"""The price model: every price is a function of seed, symbol and time alone.

A symbol's days are one random walk in logarithms, drawn whole from its listing to the horizon and tied to
two known prices. A day's minutes are a bridge drawn for that day alone and pinned to its open,
high, low and close, so intervals agree with each other. Within a minute the price moves in straight
lines from open over both extremes to close, so there is a price at every second.

Prices here are in the shares of the table's latest split; `sim.market` converts them to those known at a
moment.
"""

import datetime as dt
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.instruments import Instrument, Kind
from sim.sessions import HORIZON, Calendar, DayArray, IntArray, calendar_of, weekday

FloatArray = npt.NDArray[np.float64]

# The day on which the walk reaches the price of the table.
ANCHOR = dt.date(2025, 11, 3)
TRADING_DAYS = 252
_GROWTH = 0.03  # per year, after ANCHOR
# The share of a day's variance between the close and the next open.
_OVERNIGHT = 0.25
_OVERNIGHT_AROUND_THE_CLOCK = 0.0004
# The seconds within a minute of its open, its two extremes and its close.
_KNOTS_S = (0.0, 20.0, 40.0, 60.0)


def rng(seed: int, *parts: str) -> np.random.Generator:
    """Return a generator that depends on its arguments alone (no salted hashes)."""
    digest = hashlib.blake2b("\0".join((str(seed), *parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(digest, "big")))


@dataclass(frozen=True)
class Bars:
    """Columns over one axis: open times (epoch seconds), prices, volumes."""

    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: IntArray

    def __len__(self) -> int:
        return len(self.time)

    def cut(self, start: int, stop: int) -> "Bars":
        """Return the bars [start, stop)."""
        part = slice(start, stop)
        return Bars(
            self.time[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )

    def priced(self, change: Callable[[FloatArray], FloatArray]) -> "Bars":
        """Return the same bars with each column of prices changed."""
        return Bars(
            self.time,
            change(self.open),
            change(self.high),
            change(self.low),
            change(self.close),
            self.volume,
        )

    def then(self, *others: "Bars") -> "Bars":
        """Return these bars and the others after them."""
        all_ = (self, *others)
        return Bars(
            np.concatenate([bars.time for bars in all_]),
            np.concatenate([bars.open for bars in all_]),
            np.concatenate([bars.high for bars in all_]),
            np.concatenate([bars.low for bars in all_]),
            np.concatenate([bars.close for bars in all_]),
            np.concatenate([bars.volume for bars in all_]),
        )

    def grouped(self, starts: IntArray, times: IntArray) -> "Bars":
        """Return one bar per group; `starts` are the groups' first indices, `times` their open times."""
        if not len(starts):
            return self.cut(0, 0)
        last = np.append(starts[1:], len(self)) - 1
        return Bars(
            times,
            self.open[starts],
            np.maximum.reduceat(self.high, starts),
            np.minimum.reduceat(self.low, starts),
            self.close[last],
            np.add.reduceat(self.volume, starts),
        )


@dataclass(frozen=True)
class Payment:
    """A dividend or capital gain of `amount` per share (split-adjusted); day `index` is the ex-date."""

    index: int
    amount: float


@dataclass(frozen=True)
class History:
    """All days of one instrument, listing to horizon. `i` below is an index into them."""

    instrument: Instrument
    calendar: Calendar
    offset: int  # index of the first day in the calendar
    days: DayArray
    bars: Bars  # one a day, times are session opens
    close_time: IntArray
    shares: FloatArray  # how many shares of today one share of that day became
    dividends: tuple[Payment, ...]
    capital_gains: tuple[Payment, ...]
    splits: tuple[int, ...]  # the day index of each of instrument.splits

    def pre_open(self, i: int) -> int:
        return self.calendar.pre_open(i + self.offset)

    def post_close(self, i: int) -> int:
        return self.calendar.post_close(i + self.offset)

    def rounded(self, price: FloatArray, i: int) -> FloatArray:
        """Round prices of day `i` to the price step of that day's shares."""
        return _round(price, self.shares[i], self.instrument.decimals)


def _round(price: FloatArray, shares: FloatArray | float, decimals: int) -> FloatArray:
    step = 10.0**-decimals
    return np.maximum(np.round(price * shares, decimals), step) / shares


def build_history(instrument: Instrument, seed: int) -> History:
    """Draw all days of an instrument."""
    calendar = calendar_of(instrument.exchange.schedule)
    offset = int(np.searchsorted(calendar.days, np.datetime64(instrument.listed)))
    days = calendar.days[offset:]
    n = len(days)
    splits = tuple(int(np.searchsorted(days, np.datetime64(split.day))) for split in instrument.splits)
    shares = np.ones(n)
    for index, split in zip(splits, instrument.splits, strict=True):
        shares[:index] *= split.ratio
    open_, high, low, close = _walk(instrument, days, seed)
    if instrument.kind is Kind.FUND:  # one price a day
        open_ = high = low = close
    noise = rng(seed, instrument.symbol, "volume").standard_normal(n)
    volume = np.round(instrument.volume * np.exp(0.35 * noise - 0.06)).astype(np.int64)
    bars = Bars(calendar.open[offset:], open_, high, low, close, volume)
    bars = bars.priced(lambda column: _round(column, shares, instrument.decimals))
    return History(
        instrument=instrument,
        calendar=calendar,
        offset=offset,
        days=days,
        bars=bars,
        close_time=calendar.close[offset:],
        shares=shares,
        dividends=_payments(
            instrument, days, bars.close, seed, instrument.dividends_a_year, instrument.dividend_yield
        ),
        capital_gains=_payments(instrument, days, bars.close, seed, 1, instrument.capital_gains_yield),
        splits=splits,
    )


def _walk(instrument: Instrument, days: DayArray, seed: int) -> tuple[FloatArray, ...]:
    """Return open, high, low and close of each day, unrounded."""
    n = len(days)
    draw = rng(seed, instrument.symbol, "days")
    gap_z, day_z, high_z, low_z, mood_z = (draw.standard_normal(n) for _ in range(5))
    # Volatility comes in spells of about two months.
    mood = np.convolve(mood_z, np.exp(-np.arange(160) / 40.0))[:n] / 4.5
    sigma = instrument.volatility / np.sqrt(TRADING_DAYS) * np.exp(0.35 * mood - 0.06)
    overnight = _OVERNIGHT_AROUND_THE_CLOCK if instrument.schedule.around_the_clock else _OVERNIGHT
    gap = sigma * np.sqrt(overnight) * gap_z
    step = gap + sigma * np.sqrt(1 - overnight) * day_z
    step[0] = 0.0
    path = np.cumsum(step)
    # A bridge from the first price to the anchor's, then from year to year with a little growth.
    first, last = math.log(instrument.first_price), math.log(instrument.price)
    years = range(HORIZON.year - ANCHOR.year)
    ties = [
        0,
        *(int(np.searchsorted(days, np.datetime64(ANCHOR.replace(year=ANCHOR.year + k)))) for k in years),
    ]
    prices = np.array([first, *(last + _GROWTH * k for k in years)])
    log_close = path + np.interp(np.arange(n), ties, prices - path[ties])
    close = np.exp(log_close)
    open_ = np.exp(np.concatenate(([first], log_close[:-1] + gap[1:])))
    high = np.maximum(open_, close) * np.exp(0.4 * sigma * np.abs(high_z))
    low = np.minimum(open_, close) * np.exp(-0.4 * sigma * np.abs(low_z))
    return open_, high, low, close


def _payments(
    instrument: Instrument, days: DayArray, close: FloatArray, seed: int, a_year: int, yield_: float
) -> tuple[Payment, ...]:
    """Return `a_year` equal payments each year, together `yield_` of the price at the year's start."""
    if not yield_:
        return ()
    month, day = (
        int(v) for v in rng(seed, instrument.symbol, "ex-date").integers((0, 4), (12 // a_year, 25))
    )
    if a_year == 1:
        month = 11 if yield_ == instrument.capital_gains_yield else month % 6 + 2
    payments = []
    for year in range(instrument.listed.year + 1, int(str(days[-1])[:4])):
        start = int(np.searchsorted(days, np.datetime64(f"{year}-01-01")))
        amount = round(float(close[start]) * yield_ / a_year, 6 if close[start] < 1 else 4)
        for k in range(a_year):
            ex_day = np.datetime64(dt.date(year, month + k * (12 // a_year) + 1, day))
            payments.append(Payment(int(np.searchsorted(days, ex_day)), amount))
    return tuple(payment for payment in payments if payment.amount > 0)


def draw_minutes(history: History, i: int, seed: int) -> Bars:
    """Return the minutes of day `i`'s regular session; their open, extremes and close are the day bar's."""
    day = str(history.days[i])
    friday = bool(weekday(history.days[i : i + 1])[0] == 4)
    minutes = history.calendar.schedule.minutes(friday=friday)
    midnight = int(history.calendar.midnight[i + history.offset])
    n = len(minutes)
    draw = rng(seed, history.instrument.symbol, "minutes", day)
    bars = history.bars
    open_, high, low, close = (float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close))
    spread = math.log(high / low) / 1.67  # the range of a Brownian path is about 1.67 deviations
    path = _bridge(math.log(open_), math.log(close), spread, draw.standard_normal(n))
    wick = np.abs(draw.standard_normal((2, n))) * (high - low) / 3.3 / np.sqrt(n)
    opens, closes = path[:-1], path[1:]
    highs = np.maximum(opens, closes) + wick[0]
    lows = np.minimum(opens, closes) - wick[1]
    # One monotone map for all four columns keeps their order: it stretches prices above both ends of the day
    # to touch the day's high, and those below both ends to touch its low.
    top, bottom = max(open_, close), min(open_, close)
    up = (high - top) / max(highs.max() - top, 1e-300)
    down = (bottom - low) / max(bottom - lows.min(), 1e-300)

    def fitted(x: FloatArray) -> FloatArray:
        above, below = top + (x - top) * up, bottom - (bottom - x) * down
        return history.rounded(np.where(x > top, above, np.where(x < bottom, below, x)), i)

    volume = _spread_volume(int(bars.volume[i]), draw, n)
    return Bars(midnight + 60 * minutes, opens, highs, lows, closes, volume).priced(fitted)


def _bridge(start: float, end: float, deviation: float, steps: FloatArray) -> FloatArray:
    """Return len(steps) + 1 prices from exp(start) to exp(end), with about this deviation in between."""
    n = len(steps)
    path = np.concatenate(([0.0], np.cumsum(steps))) * deviation / np.sqrt(n)
    line = np.arange(n + 1) / n
    prices: FloatArray = np.exp(start + path + (end - start - path[-1]) * line)
    prices[0], prices[-1] = np.exp(start), np.exp(end)
    return prices


def _spread_volume(volume: int, draw: np.random.Generator, n: int) -> IntArray:
    """Spread a day's volume over its minutes, with more at both ends; the sum is exact."""
    weight = (0.4 + 7.2 * (np.arange(n) / n - 0.5) ** 2) * np.exp(0.5 * draw.standard_normal(n))
    total = np.floor(np.cumsum(weight) / weight.sum() * volume).astype(np.int64)
    total[-1] = volume
    each: IntArray = np.diff(total, prepend=np.int64(0))
    return each


def draw_extended(history: History, i: int, seed: int, *, pre: bool) -> Bars:
    """Return the minutes of day `i`'s pre- or post-market, without volume.

    The post-market starts at the close and goes part of the way to the next day's open; the pre-market goes
    the rest.
    """
    schedule = history.calendar.schedule
    label, day = ("pre" if pre else "post"), i - 1 if pre else i
    start, stop = (schedule.pre_open, schedule.open) if pre else (schedule.close, schedule.post_close)
    last_close = float(history.bars.close[max(day, 0)])
    next_open = float(history.bars.open[min(day + 1, len(history.days) - 1)])
    between = math.log(last_close) * 0.6 + math.log(next_open) * 0.4
    ends = (between, math.log(next_open)) if pre else (math.log(last_close), between)
    draw = rng(seed, history.instrument.symbol, label, str(history.days[i]))
    n = stop - start
    deviation = history.instrument.volatility / np.sqrt(TRADING_DAYS) * 0.3
    path = _bridge(*ends, deviation, draw.standard_normal(n))
    wick = np.abs(draw.standard_normal((2, n))) * path[:-1] * deviation / np.sqrt(n) * 0.5
    opens, closes = path[:-1], path[1:]
    highs, lows = np.maximum(opens, closes) + wick[0], np.minimum(opens, closes) - wick[1]
    times = history.calendar.midnight[i + history.offset] + 60 * np.arange(start, stop, dtype=np.int64)
    bars = Bars(times, opens, highs, lows, closes, np.zeros(n, dtype=np.int64))
    return bars.priced(lambda column: history.rounded(column, i))


def forming(minute: Bars, second: int) -> Bars:
    """Return one minute (a Bars of length 1) as it looks `second` seconds after its start, unrounded.

    Its close is the price at that second.
    """
    open_, high, low, close = (float(c[0]) for c in (minute.open, minute.high, minute.low, minute.close))
    knots = [open_, *((low, high) if close >= open_ else (high, low)), close]
    price = float(np.interp(second, _KNOTS_S, knots))
    seen = [price, *(knot for at, knot in zip(_KNOTS_S, knots, strict=True) if at <= second)]
    volume: IntArray = minute.volume * second // 60
    return Bars(
        minute.time, minute.open, np.array([max(seen)]), np.array([min(seen)]), np.array([price]), volume
    )

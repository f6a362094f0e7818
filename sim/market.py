"""The market at a moment: known history, and the bar that is still forming."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from sim.clock import Clock
from sim.instruments import Instrument, Kind, Split
from sim.prices import (
    Bars,
    FloatArray,
    History,
    Payment,
    build_history,
    draw_extended,
    draw_minutes,
    forming,
)
from sim.sessions import IntArray, local_midnight, weekday

# A fund's price of the day appears this long after the session's end.
_NAV_DELAY_S = 4 * 3600 + 300
# Cached days of minute bars (18 to 70 kB each), and of longer bars (1 to 14 kB each).
_MINUTE_DAYS = 256
_STEP_DAYS = 16_384


@dataclass(frozen=True)
class Live:
    """The latest session as seen now."""

    time: int  # of its last trade, epoch seconds
    open_now: bool  # whether the market trades at this second
    bar: Bars  # the day so far: one bar


@dataclass(frozen=True)
class Restatement:
    """The changes made on demand to a symbol's past."""

    splits: tuple[tuple[int, Split], ...] = ()  # with the index of its day
    dividends: tuple[Payment, ...] = ()
    corrections: tuple[tuple[int, float], ...] = ()  # index of a day, factor on its prices


class UnknownSymbolError(LookupError):
    """The market has no such symbol, or had not yet listed it at the clock's time."""


class Market:
    """All instruments, one seed, one clock. Safe to share between threads."""

    def __init__(self, instruments: dict[str, Instrument], *, seed: int, clock: Clock) -> None:
        self.instruments, self.seed, self.clock = instruments, seed, clock
        self._lock = threading.Lock()
        self._restated: dict[str, Restatement] = {}
        self.history = lru_cache(None)(self._build)
        # For weeks and longer, each bar's first day and its time; for days, the days themselves.
        self.groups = lru_cache(None)(self._draw_groups)
        self.minutes = lru_cache(_MINUTE_DAYS)(self._draw_minutes)
        self.steps = lru_cache(_STEP_DAYS)(self._draw_steps)
        self.extended = lru_cache(_MINUTE_DAYS)(self._draw_extended)

    def at(self, symbol: str, now: float | None = None) -> "View":
        """Return one symbol at a moment (epoch seconds; default: now by the clock).

        Raises UnknownSymbolError.
        """
        if symbol not in self.instruments:
            raise UnknownSymbolError(symbol)
        return View(self, symbol, self.clock() if now is None else now)

    def restated(self, symbol: str) -> Restatement:
        with self._lock:
            return self._restated.get(symbol, Restatement())

    def split(self, symbol: str, numerator: int, denominator: int) -> None:
        """Split a symbol today: its whole history is in new shares from now on.

        Raises UnknownSymbolError; ValueError for a term below 1.
        """
        if min(numerator, denominator) < 1:
            raise ValueError(f"{numerator}:{denominator} is not a ratio")
        view = self.at(symbol)
        split = Split(view.history.days[view.last].item(), numerator, denominator)
        self._restate(symbol, lambda past: replace(past, splits=(*past.splits, (view.last, split))))

    def pay(self, symbol: str, amount: float) -> None:
        """Pay a dividend today: earlier adjusted closes change. Raises as `split` does."""
        view = self.at(symbol)
        if not 0 < amount < view.close_of(max(view.last - 1, 0)):
            raise ValueError(f"{amount} is not a dividend at this price")
        payment = Payment(view.last, amount / view.scale)
        self._restate(symbol, lambda past: replace(past, dividends=(*past.dividends, payment)))

    def correct(self, symbol: str, days: int, factor: float) -> None:
        """Multiply the prices of the session `days` before the latest. Raises as `split` does."""
        view = self.at(symbol)
        if not 0 < days <= view.last or not 0 < factor < math.inf:
            raise ValueError(f"no session {days} days back, or {factor} is not a factor")
        correction = (view.last - days, factor)
        self._restate(symbol, lambda past: replace(past, corrections=(*past.corrections, correction)))

    def unrestate(self, symbol: str = "") -> None:
        """Undo the changes made on demand, for one symbol or for all."""
        with self._lock:
            self._restated = {s: past for s, past in self._restated.items() if symbol and s != symbol}

    def _restate(self, symbol: str, change: Callable[[Restatement], Restatement]) -> None:
        with self._lock:
            self._restated[symbol] = change(self._restated.get(symbol, Restatement()))

    def _build(self, symbol: str) -> History:
        return build_history(self.instruments[symbol], self.seed)

    def _draw_groups(self, symbol: str, interval: str) -> tuple[IntArray, IntArray]:
        history = self.history(symbol)
        days = history.days
        if interval == "1wk":
            keys = days - weekday(days)
        elif interval in ("1mo", "3mo"):
            # As in the API, quarters count from the month of the first bar.
            size = {"1mo": 1, "3mo": 3}[interval]
            months = days.astype("datetime64[M]").astype(np.int64)
            keys = (months - (months - months[0]) % size).astype("datetime64[M]").astype("datetime64[D]")
        else:
            return np.arange(len(days)), history.bars.time
        keys, starts = np.unique(keys, return_index=True)
        zone = history.calendar.schedule.time_zone
        return starts, np.array([local_midnight(zone, day) for day in keys.tolist()])

    def _draw_minutes(self, symbol: str, i: int) -> Bars:
        return draw_minutes(self.history(symbol), i, self.seed)

    def _draw_steps(self, symbol: str, i: int, step_s: int) -> Bars:
        draw = self.minutes if step_s < 3600 else self._draw_minutes  # hours go back too far to keep minutes
        return stepped(draw(symbol, i), step_s)

    def _draw_extended(self, symbol: str, i: int, pre: bool) -> Bars:
        return draw_extended(self.history(symbol), i, self.seed, pre=pre)


def stepped(minutes: Bars, step_s: int) -> Bars:
    """Return bars of `step_s` seconds, on a grid that starts at the first minute."""
    if step_s == 60 or not len(minutes):
        return minutes
    base = minutes.time[0]
    times = base + (minutes.time - base) // step_s * step_s
    starts = np.flatnonzero(np.diff(times, prepend=-1))
    return minutes.grouped(starts, times[starts])


class View:
    """One symbol as known at `now` (epoch seconds).

    Indices count days since the listing. Prices and volumes are in the shares of the latest split known then.
    """

    def __init__(self, market: Market, symbol: str, now: float) -> None:
        self.market, self.symbol, self.now = market, symbol, now
        self.instrument = market.instruments[symbol]
        self.history = market.history(symbol)
        self.restated = market.restated(symbol)
        self.last = self._last()  # index of the latest session that has begun
        if self.last < 0:
            raise UnknownSymbolError(symbol)

    def _last(self) -> int:
        if self.instrument.kind is Kind.FUND:
            seen = self.history.close_time + _NAV_DELAY_S
        else:
            seen = self.history.bars.time
        return int(np.searchsorted(seen, self.now, "right")) - 1

    @cached_property
    def scale(self) -> float:
        """The factor from the model's prices to those known at `now`.

        It undoes the table's splits that are still to come, and applies those made on demand.
        """
        table = zip(self.history.splits, self.instrument.splits, strict=True)
        scale = math.prod(split.ratio for index, split in table if index > self.last)
        return scale / math.prod(split.ratio for index, split in self.restated.splits if index <= self.last)

    def _scaled(self, bars: Bars, factor: float | FloatArray) -> Bars:
        if self.scale != 1:
            bars = replace(bars, volume=np.round(bars.volume / self.scale).astype(np.int64))
        return bars.priced(lambda column: column * factor)

    def _corrected(self, i: int) -> float:
        return self.scale * math.prod(factor for day, factor in self.restated.corrections if day == i)

    @cached_property
    def live(self) -> Live:
        i = self.last
        if self.instrument.kind is Kind.FUND:
            time = int(self.history.close_time[i]) + _NAV_DELAY_S
            return Live(time, False, self._scaled(self.history.bars.cut(i, i + 1), self._corrected(i)))
        minutes = self._until_now(self.market.minutes(self.symbol, i))
        second = int(self.now) - int(minutes.time[-1])
        day = minutes.grouped(np.zeros(1, dtype=np.int64), self.history.bars.time[i : i + 1])
        time = int(minutes.time[-1]) + min(second, 60)
        return Live(time, second < 60, self._scaled(day, self._corrected(i)))

    def _until_now(self, minutes: Bars) -> Bars:
        """Return the minutes that have begun; the last one may still be forming."""
        k = int(np.searchsorted(minutes.time, self.now, "right"))
        if not k or (second := int(self.now) - int(minutes.time[k - 1])) >= 60:
            return minutes.cut(0, k)
        last = forming(minutes.cut(k - 1, k), second)
        return minutes.cut(0, k - 1).then(last.priced(lambda price: self.history.rounded(price, self.last)))

    def daily(self, start: int, stop: int) -> Bars:
        """Return the days [start, stop); the last one may still be forming. `stop` is at most last + 1."""
        factor: float | FloatArray = self.scale
        if self.restated.corrections:
            factor = np.array([self._corrected(i) for i in range(start, stop)])
        bars = self._scaled(self.history.bars.cut(start, stop), factor)
        if not start <= self.last < stop:
            return bars
        return bars.cut(0, len(bars) - 1).then(self.live.bar)

    def intraday(self, i: int, step_s: int, *, extended: bool = False) -> Bars:
        """Return the bars of day `i`'s session up to now; `extended` adds its pre- and post-market."""
        regular: Bars
        if i < self.last and step_s == 60:
            regular = self.market.minutes(self.symbol, i)
        elif i < self.last:
            regular = self.market.steps(self.symbol, i, step_s)
        elif i == self.last:
            regular = stepped(self._until_now(self.market.minutes(self.symbol, i)), step_s)
        else:
            regular = self.history.bars.cut(0, 0)
        if extended and self.instrument.schedule.extended:
            pre, post = (
                stepped(self._until_now(self.market.extended(self.symbol, i, pre)), step_s)
                for pre in (True, False)
            )
            regular = pre.then(regular, post)
        return self._scaled(regular, self._corrected(i))

    def close_of(self, i: int) -> float:
        """Return the close of day `i`; for the last day, the price now."""
        return float(self.daily(i, i + 1).close[0])

    def decimal(self, price: float) -> float:
        """Round off binary noise, two digits below the price step because adjusted prices are finer."""
        return round(float(price), self.instrument.decimals + 2)

    def dividends(self) -> list[Payment]:
        """Return the known dividends, oldest first; amounts are in today's shares."""
        return self._known([*self.history.dividends, *self.restated.dividends])

    def capital_gains(self) -> list[Payment]:
        return self._known(self.history.capital_gains)

    def _known(self, payments: Sequence[Payment]) -> list[Payment]:
        known = (Payment(p.index, p.amount * self.scale) for p in payments if p.index <= self.last)
        return sorted(known, key=lambda payment: payment.index)

    def splits(self) -> list[tuple[int, Split]]:
        """Return the known splits, oldest first, each with the index of its day."""
        table = zip(self.history.splits, self.instrument.splits, strict=True)
        known = [pair for pair in (*table, *self.restated.splits) if pair[0] <= self.last]
        return sorted(known, key=lambda pair: pair[0])

    def adjusted(self, start: int, stop: int) -> FloatArray:
        """Return the adjusted closes of the days [start, stop).

        Each close before a payment is multiplied by 1 - payment / (the close before the payment).
        """
        closes = self.daily(0, self.last + 1).close
        logs = np.zeros(self.last + 2)
        for payment in (*self.dividends(), *self.capital_gains()):
            if payment.index > 0:
                logs[payment.index] += math.log1p(-payment.amount / closes[payment.index - 1])
        later = np.cumsum(logs[::-1])[::-1][1:]  # at i: the sum of logs after i
        return closes[start:stop] * np.exp(later[start:stop])

"""Mutated recorded replies for the chart reader, which must return a known failure or right bars."""

import copy
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from finstage_market.columns import PRICES, Columns
from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, Grid
from services.ingest.providers.yahoo_bars import GRANULARITIES, CleanBars, Window, clean
from services.ingest.providers.yahoo_chart import read_chart
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.series import Quote
from services.ingest.upstream.outcomes import Failure

NOW_MS = 1_790_000_000_000
ROWS = 24  # in a reply, so that a million replies take minutes
_INTERVALS = {granularity: interval for interval, granularity in GRANULARITIES.items()}
# Replacements for other values.
_ODD: tuple[Any, ...] = (
    *(None, True, False, "", "x", "1.5", [], [None], {}, {"a": 1}),
    *("America/New_York", "Asia/Tokyo", "../../etc", "1d", "1wk", "5m"),
    *(0, 1, -1, 0.0, -0.5, 1e-300, 1e308, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30),
    *(1_700_000_000, -62_135_596_800),
)


@dataclass
class Tally:
    """The outcomes of mutated replies. broken: each failure, with the seed that reproduces it."""

    tried: int = 0
    bars: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.tried += other.tried
        self.bars += other.bars
        self.outcomes += other.outcomes
        self.broken += other.broken


def recorded(folder: Path) -> list[bytes]:
    """Return the recorded replies, long ones cut into pieces of ROWS rows."""
    bodies: list[bytes] = []
    for path in sorted(folder.glob("*.json")):
        reply = orjson.loads(path.read_bytes())
        if "chart" not in reply:
            continue
        results = reply["chart"]["result"] or [{}]
        times = results[0].get("timestamp", [])
        for first in sorted({0, max(0, len(times) // 2 - ROWS), max(0, len(times) - ROWS)}):
            bodies.append(orjson.dumps(_cut(reply, first)))
    return bodies


def _cut(reply: dict[str, Any], first: int) -> dict[str, Any]:
    """Return ROWS rows of a reply from `first` on, with the sessions of their days and a few events."""
    reply = copy.deepcopy(reply)
    for result in reply["chart"]["result"] or []:
        n = len(result.get("timestamp", []))
        for holder in (result, *result["indicators"]["quote"], *result["indicators"].get("adjclose", [])):
            for name, values in holder.items():
                if isinstance(values, list) and n and len(values) == n:
                    holder[name] = values[first : first + ROWS]
        periods = result["meta"].get("tradingPeriods")
        if isinstance(periods, list):
            around = (result["timestamp"][0] - 86_400, result["timestamp"][-1] + 86_400)
            result["meta"]["tradingPeriods"] = [
                day for day in periods if around[0] < day[0]["start"] < around[1]
            ]
        for kind, events in result.get("events", {}).items():
            result["events"][kind] = dict(list(events.items())[:4])
    return reply


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Return `body` with one to three changes, in its values or, one time in five, in its bytes."""
    if rng.random() < 0.2:
        return _bytes_changed(body, rng)
    reply = orjson.loads(body)
    for _ in range(rng.randint(1, 3)):
        _change(reply, rng)
    try:
        return orjson.dumps(reply)
    except (TypeError, orjson.JSONEncodeError):  # an integer beyond 64 bits, which orjson does not write
        return body


def _bytes_changed(body: bytes, rng: random.Random) -> bytes:
    data = bytearray(body)
    at = rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            del data[at:]
        case 1:
            data[at] = rng.randrange(256)
        case 2:
            del data[at : at + rng.randint(1, 40)]
        case 3:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + rng.randint(1, 40)]
        case _:
            digit = rng.choice(b"0123456789-.eE,null")
            data[at : at + 1] = bytes([digit])
    return bytes(data)


def _change(reply: Any, rng: random.Random) -> None:
    place = _place(reply, rng)
    if place is None:
        return
    holder, key = place
    value = holder[key]
    if isinstance(value, list) and value and rng.random() < 0.7:
        _change_list(value, rng)
    elif isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.7:
        holder[key] = _changed_number(value, rng)
    elif isinstance(holder, dict) and rng.random() < 0.3:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(rng.choice(_ODD))


def _change_list(values: list[Any], rng: random.Random) -> None:
    i, j = rng.randrange(len(values)), rng.randrange(len(values))
    match rng.randrange(14):
        case 0 | 1 | 2:
            values[i], values[j] = values[j], values[i]
        case 3:
            values.insert(i, copy.deepcopy(values[j]))
        case 4:
            del values[i : i + rng.randint(1, 3)]
        case 5 | 6 | 7:
            values[i] = copy.deepcopy(values[j])
        case 8:
            values.reverse()
        case 9:
            values[i] = None
        case 10:
            values[i] = copy.deepcopy(rng.choice(_ODD))
        case _:
            if isinstance(values[i], int | float):
                values[i] = _changed_number(values[i], rng)


def _changed_number(value: float, rng: random.Random) -> float:
    scale = rng.choice((0, -1, 1.0000001, 1.01, 100, 0.01, 1e10))
    shift = rng.choice((0, 0, 1, -1, 13, 60, 1800, -3600, 86_400, 10**9))
    changed = value * scale + shift
    return int(changed) if isinstance(value, int) and abs(changed) < 2**63 else changed


def _place(reply: Any, rng: random.Random) -> tuple[Any, Any] | None:
    """Return a random place (holder, key) in a JSON value, or None; an array of plain values is one place."""
    holder = reply
    while isinstance(holder, dict | list) and holder:
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        inner = holder[key]
        within = isinstance(inner, dict) or (
            isinstance(inner, list) and any(isinstance(i, dict | list) for i in inner)
        )
        if not within or not inner or rng.random() < 0.01:
            return holder, key
        holder = inner
    return None


def judge(status: int, body: bytes) -> tuple[str, int]:
    """Read a reply; return the outcome and the number of bars.

    Raises:
        AssertionError: the result is wrong. Any other exception: the reader crashed.
    """
    chart = read_chart(status, body)
    if isinstance(chart, Failure):
        return chart.outcome.value, 0
    interval = _INTERVALS.get(chart.granularity, Interval.D1)
    grid = Grid(months=3) if chart.granularity == "3mo" else GRIDS[interval]
    found = clean(chart, interval, grid, Window(-(10**14), 10**14), now_ms=NOW_MS)
    negative = chart.instrument.may_be_negative
    _assert_bars(found, negative=negative)
    _assert_from(found.bars.columns, body)
    quote = quote_of(chart, chart.symbol, now_ms=NOW_MS, source="yahoo")
    if isinstance(quote, Quote):
        assert np.isfinite(quote.price), quote
        assert negative or quote.price > 0, quote
    return "data", len(found.bars.columns)


def _assert_bars(found: CleanBars, *, negative: bool) -> None:
    c = found.bars.columns
    values = np.stack([c.open, c.high, c.low, c.close, c.volume])
    assert np.isfinite(values).all(), "a value that is not finite"
    assert negative or (c.low > 0).all(), "a price of zero or less"
    assert (c.volume >= 0).all(), "a volume below zero"
    assert (c.high >= c.low).all(), "high below low"
    assert (np.maximum(c.open, c.close) <= c.high).all(), "above its high"
    assert (np.minimum(c.open, c.close) >= c.low).all(), "below its low"
    assert (np.diff(c.open_time_ms) > 0).all(), "times out of order"
    assert (c.open_time_ms <= NOW_MS + 86_400_000).all(), "a bar of the future"
    adjusted = found.bars.adjusted_close
    assert adjusted is None or len(adjusted) == len(c), "adjusted closes of other bars"
    for gap in found.gaps:
        assert gap.start_ms < gap.end_ms, gap
        assert gap.start_ms not in c.open_time_ms, f"a gap where a bar is: {gap}"


def _assert_from(columns: Columns, body: bytes) -> None:
    """Check that the reply has every price, apart from float32 noise."""
    if not len(columns):
        return
    quote = orjson.loads(body)["chart"]["result"][0]["indicators"]["quote"][0]
    sent = np.array([float(v) for name in PRICES for v in quote[name] if v is not None])
    for name in PRICES:
        prices = getattr(columns, name)
        known = np.isclose(prices[:, None], sent[None, :], rtol=2**-22, atol=0).any(axis=1)
        assert known.all(), f"{name} that the reply does not have: {prices[~known][:3].tolist()}"


def fuzz(folder: Path, *, count: int, seed: int, first: int = 0) -> Tally:
    """Judge `count` mutated replies. The same seed and first give the same replies."""
    bodies, tally = recorded(folder), Tally()
    for number in range(first, first + count):
        rng = random.Random(f"{seed}/{number}")
        body = mutated(rng.choice(bodies), rng)
        tally.tried += 1
        try:
            outcome, bars = judge(200, body)
        except Exception as error:
            tally.broken.append(f"{seed}/{number}: {type(error).__name__}: {error}")
        else:
            tally.outcomes[outcome] += 1
            tally.bars += bars
    return tally

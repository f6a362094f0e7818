"""Reading replies of the chart API: bytes in, one typed and aligned Chart out, or why there is none.

Bars are made in yahoo_bars.py. A value of the wrong type counts as absent in `meta`. In the arrays it makes
the whole reply malformed, because no row can be trusted to be at its place.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import orjson
import structlog

from finstage_market.columns import Float64s, Int64s
from services.ingest.hours.zones import zone_of
from services.ingest.providers.float32 import decimal, decimals
from services.ingest.providers.yahoo_symbols import INSTRUMENT_TYPES
from services.ingest.series import Event, EventKind, Instrument
from services.ingest.upstream.outcomes import Failure, Outcome, malformed

# The rows of Chart.values.
OPEN, HIGH, LOW, CLOSE, VOLUME, ADJUSTED = range(6)
_ROWS = ("open", "high", "low", "close", "volume", "adjclose")
# Seconds outside of which a number is not a time of a market: the years 1800 and 2200.
_FIRST_S, _LAST_S = -5_364_662_400, 7_258_118_400
_MAX_PRECISION = 12
# Fractions of currencies that prices are quoted in, their currency, and how many make one of it.
_FRACTIONS = {
    "GBp": ("GBP", 100.0),
    "GBX": ("GBP", 100.0),
    "ZAc": ("ZAR", 100.0),
    "ZAC": ("ZAR", 100.0),
    "ILA": ("ILS", 100.0),
    "KWF": ("KWD", 1000.0),
    "USX": ("USD", 100.0),
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A regular session, [start_ms, end_ms)."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One reply: n rows as they came, which may be null, unordered, doubled or off the grid.

    symbol: as the reply names it; empty when it does not.
    granularity: "1d", "1wk", …; empty when it does not say.
    zone: the exchange's time zone; UTC when unknown.
    times_ms: int64[n].
    values: float64[6, n]: OPEN, HIGH, LOW, CLOSE, VOLUME, ADJUSTED; NaN where null or absent. Prices are
        without the noise of a float32 (float32.py).
    has_adjusted: False on intraday replies.
    sessions: the regular sessions of the days shown, in order; empty when it does not say.
    current_session: the running session, or the next one.
    events: in order of time; amounts in the currency of the prices.
    ignored_dividends: the time of each dividend in another money, and what it said.
    price, market_time_ms, …: the quote in `meta`; None where it has none.
    """

    symbol: str
    granularity: str
    zone: tzinfo
    instrument: Instrument
    times_ms: Int64s
    values: npt.NDArray[np.float64]
    has_adjusted: bool
    sessions: tuple[Session, ...]
    current_session: Session | None
    events: tuple[Event, ...]
    ignored_dividends: tuple[tuple[int, str], ...]
    price: float | None
    market_time_ms: int | None
    previous_close: float | None
    day_high: float | None
    day_low: float | None
    day_volume: float | None


def read_chart(status: int, body: bytes, *, needs_rows: bool = True) -> Chart | Failure:
    """Return the chart of a reply of the chart API, whatever its status, or why there is none.

    needs_rows: whether damaged arrays make the reply malformed. False: the chart then has no rows.
    """
    reply = read_json(status, body)
    if isinstance(reply, Failure):
        return reply
    chart = reply.get("chart")
    if not isinstance(chart, dict):
        return _error(status, _mapping(reply.get("finance")).get("error")) or malformed(
            "a reply without chart"
        )
    if failure := _error(status, chart.get("error")):
        return failure
    if status != 200:
        return malformed(f"status {status} without an error inside")
    results = chart.get("result")
    if results == []:
        return Failure(Outcome.NO_DATA, "an empty list of results")
    if not isinstance(results, list) or not isinstance(results[0], dict):
        return malformed("a reply with neither result nor error")
    return _chart(results[0], needs_rows=needs_rows)


def read_json(status: int, body: bytes) -> dict[str, Any] | Failure:
    """Return the JSON object that a reply holds, or why there is none."""
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The edge of the upstream answers in plain text or HTML, sometimes with status 200.
        if b"too many requests" in body[:2000].lower():
            return Failure(
                Outcome.RATE_LIMITED, "Too Many Requests, without the status that says so", mendable=True
            )
        start = body[:40].decode("utf-8", "replace")
        return malformed(f"status {status} with a body that is not JSON ({error}), beginning {start!r}")
    return reply if isinstance(reply, dict) else malformed("JSON that is not an object")


def _error(status: int, error: object) -> Failure | None:
    """The failure in an error envelope; None when there is none."""
    if error is None:
        return None
    if not isinstance(error, dict):
        return malformed("an error that is not an object")
    code, description = _text(error, "code"), _text(error, "description")
    said = f"{code}: {description}"
    lower = said.lower()
    if "too many requests" in lower:
        return Failure(Outcome.RATE_LIMITED, said, mendable=True)
    if code == "Unauthorized" or status in (401, 403):
        return Failure(Outcome.UNAUTHORIZED, said)
    if code == "Not Found":
        return Failure(Outcome.NOT_FOUND, said)
    # 400 for a range before the listing, 422 for one that reaches back further than is kept.
    if "data doesn't exist" in lower or "data not available" in lower:
        return Failure(Outcome.NO_DATA, said)
    if status >= 500 or code in ("Internal Server Error", "internal-error", "Service Unavailable"):
        return Failure(Outcome.UNAVAILABLE, said, mendable=True)
    return malformed(f"status {status}, {said}")


def _chart(result: Mapping[str, Any], *, needs_rows: bool) -> Chart | Failure:
    meta = _mapping(result.get("meta"))
    zone = _zone(meta)
    instrument = _instrument(meta, zone)
    rows = _rows(result, instrument.price_precision)
    if isinstance(rows, Failure):
        if needs_rows or _number(meta, "regularMarketPrice") is None:
            return rows
        rows = np.empty(0, np.int64), np.empty((6, 0)), False
    times, values, has_adjusted = rows

    def price(name: str) -> float | None:
        return decimal(_number(meta, name), instrument.price_precision)

    events, ignored = _events(_mapping(result.get("events")), instrument)
    return Chart(
        symbol=instrument.symbol,
        granularity={"60m": "1h"}.get(_text(meta, "dataGranularity"), _text(meta, "dataGranularity")),
        zone=zone,
        instrument=instrument,
        times_ms=times * 1000,
        values=values,
        has_adjusted=has_adjusted,
        sessions=tuple(_sessions(meta.get("tradingPeriods"))),
        current_session=next(_sessions(_mapping(meta.get("currentTradingPeriod")).get("regular")), None),
        events=events,
        ignored_dividends=ignored,
        price=price("regularMarketPrice"),
        market_time_ms=_time_ms(meta.get("regularMarketTime")),
        previous_close=decimal(_previous_close(meta), instrument.price_precision),
        day_high=price("regularMarketDayHigh"),
        day_low=price("regularMarketDayLow"),
        day_volume=_number(meta, "regularMarketVolume"),
    )


def _rows(
    result: Mapping[str, Any], precision: int | None
) -> tuple[Int64s, npt.NDArray[np.float64], bool] | Failure:
    """Times in seconds, values, and whether there are adjusted closes."""
    indicators = _mapping(result.get("indicators"))
    quote = _first(indicators.get("quote"))
    adjusted = _first(indicators.get("adjclose")).get("adjclose")
    stamps = result.get("timestamp")
    if stamps is None:
        if any(quote.values()):
            return malformed("prices without timestamps")
        stamps = []
    times = _packed(stamps, "q", np.dtype(np.int64)) if isinstance(stamps, list) else None
    if times is None:
        return malformed("timestamps that are not a list of whole numbers")
    n = len(times)
    if n and (times.min() < _FIRST_S or times.max() >= _LAST_S):
        return malformed("a timestamp outside the years 1800 to 2200")
    if n and all(quote.get(name) is None for name in ("open", "high", "low", "close")):
        return malformed(f"{n} timestamps without prices")
    values = np.empty((6, n))
    given = [quote.get(name) for name in ("open", "high", "low", "close", "volume")]
    for row, (name, numbers) in enumerate(zip(_ROWS, (*given, adjusted), strict=True)):
        column = _numbers(numbers, n)
        if column is None:
            return malformed(f"{name} is not a list of {n} numbers, one a timestamp")
        values[row] = column
    values[: CLOSE + 1] = decimals(values[: CLOSE + 1], precision)
    if adjusted is not None:
        values[ADJUSTED] = decimals(values[ADJUSTED], precision)
    return times, values, adjusted is not None


def _numbers(values: object, n: int) -> Float64s | None:
    """float64[n] of a JSON array of numbers and nulls, all NaN when absent; None: it is something else."""
    if values is None:
        return np.full(n, np.nan)
    if not isinstance(values, list) or len(values) != n:
        return None
    packed = _packed(values, "d", np.dtype(np.float64))
    if packed is None and set(map(type, values)) <= {float, int, type(None)}:
        return np.array(values, dtype=np.float64)
    return packed


def _packed(values: list[Any], code: str, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
    """The array of a list of numbers; None when it has anything else in it.

    struct.pack() takes half the time of np.array() and refuses text and null. It takes booleans for 0 and 1,
    so these are looked for.
    """
    try:
        array = np.frombuffer(struct.pack(f"{len(values)}{code}", *values), dtype)
    except (struct.error, OverflowError):
        return None
    maybe = np.flatnonzero((array == 0) | (array == 1))
    return None if any(type(values[i]) is bool for i in maybe.tolist()) else array


def _previous_close(meta: Mapping[str, Any]) -> float | None:
    """The close of the session before. `chartPreviousClose` is it only where the chart shows one day."""
    value = _number(meta, "previousClose")
    if value is None and meta.get("range") == "1d":
        value = _number(meta, "chartPreviousClose")
    return value


def _instrument(meta: Mapping[str, Any], zone: tzinfo) -> Instrument:
    hint = meta.get("priceHint")
    return Instrument(
        symbol=_text(meta, "symbol").upper(),
        name=_text(meta, "longName") or _text(meta, "shortName"),
        type=INSTRUMENT_TYPES.get(_text(meta, "instrumentType").upper(), ""),
        exchange=_text(meta, "exchangeName"),
        exchange_name=_text(meta, "fullExchangeName"),
        currency=_text(meta, "currency"),
        time_zone=zone.key if isinstance(zone, ZoneInfo) else "",
        price_precision=hint if type(hint) is int and 0 <= hint <= _MAX_PRECISION else None,
        first_bar_ms=_time_ms(meta.get("firstTradeDate")),
    )


def _zone(meta: Mapping[str, Any]) -> tzinfo:
    if zone := zone_of(_text(meta, "exchangeTimezoneName")):
        return zone
    offset_s = meta.get("gmtoffset")
    if type(offset_s) is int and abs(offset_s) < 86_400:
        return timezone(timedelta(seconds=offset_s))
    return timezone.utc  # noqa: UP017 - beside its sibling above


def _sessions(periods: object, depth: int = 0) -> Iterator[Session]:
    """The regular sessions: a list of lists, or of these under `regular` where pre and post are shown too."""
    if depth > 4:
        return
    if isinstance(periods, list):
        for period in periods:
            yield from _sessions(period, depth + 1)
    elif isinstance(periods, dict):
        if "regular" in periods:
            yield from _sessions(periods["regular"], depth + 1)
        else:
            start_ms, end_ms = _time_ms(periods.get("start")), _time_ms(periods.get("end"))
            if start_ms is not None and end_ms is not None and start_ms < end_ms:
                yield Session(start_ms, end_ms)


def _events(
    events: Mapping[str, Any], instrument: Instrument
) -> tuple[tuple[Event, ...], tuple[tuple[int, str], ...]]:
    """Corporate actions by their own `date`: the key is the open time of the bar that they were put on.

    Also the dividends in another money than the prices, each with its time.
    """
    found: list[Event] = []
    ignored: list[tuple[int, str]] = []
    for kind, name in ((EventKind.DIVIDEND, "dividends"), (EventKind.CAPITAL_GAIN, "capitalGains")):
        for key, event in _items(events.get(name)):
            time_ms, amount = _event_time_ms(key, event), _amount(event, instrument)
            if time_ms is not None and amount is not None and amount > 0:
                found.append(Event(kind, time_ms, amount))
            elif time_ms is not None and (given := _number(event, "amount")) and amount is None:
                money = f"{given:g} {_text(event, 'currency')}"
                ignored.append(
                    (time_ms, f"a dividend of {money}, and the prices are in {instrument.currency}")
                )
    for key, event in _items(events.get("splits")):
        time_ms = _event_time_ms(key, event)
        numerator, denominator = _number(event, "numerator"), _number(event, "denominator")
        if time_ms is not None and numerator and denominator and numerator > 0 and denominator > 0:
            found.append(Event(EventKind.SPLIT, time_ms, None, numerator, denominator))
    return tuple(sorted(found, key=attrgetter("time_ms"))), tuple(ignored)


def _amount(event: Mapping[str, Any], instrument: Instrument) -> float | None:
    """An event's amount in the currency of the prices; None where it cannot be told."""
    amount, paid_in = _number(event, "amount"), _text(event, "currency")
    if amount is None or not paid_in or not instrument.currency or paid_in == instrument.currency:
        return amount
    money, per_money = _FRACTIONS.get(paid_in, (paid_in.upper(), 1.0))
    price_money, per_price_money = _FRACTIONS.get(instrument.currency, (instrument.currency.upper(), 1.0))
    if money == price_money:
        return amount * per_price_money / per_money
    _log.warning(
        "dividend_not_applied",
        symbol=instrument.symbol,
        amount=amount,
        currency=paid_in,
        price_currency=instrument.currency,
    )
    return None


def _event_time_ms(key: str, event: Mapping[str, Any]) -> int | None:
    date_ms = _time_ms(event.get("date"))
    if date_ms is None and key.lstrip("-").isdecimal() and len(key) < 12:
        date_ms = _time_ms(int(key))
    return date_ms


def _items(value: object) -> list[tuple[str, Mapping[str, Any]]]:
    return [(k, v) for k, v in _mapping(value).items() if isinstance(v, dict)]


def _first(value: object) -> Mapping[str, Any]:
    return _mapping(value[0]) if isinstance(value, Sequence) and value else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value.strip() if isinstance(value, str) else ""


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if type(value) is float:
        return value
    return float(value) if type(value) is int else None


def _time_ms(value: object) -> int | None:
    """Milliseconds of whole seconds since 1970; None when it is not a time of a market."""
    if type(value) is int and _FIRST_S <= value < _LAST_S:
        return value * 1000
    return None

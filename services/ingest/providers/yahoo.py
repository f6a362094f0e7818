"""The Yahoo provider: the chart API for bars, quotes and instruments, the search API for searches.

`sim` is the same provider aimed at the local market.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np

from finstage_market.columns import Columns, Float64s
from finstage_market.errors import FinstageError, InvalidRequest, Violation
from finstage_market.interval import Interval
from finstage_market.symbol import ACCEPTED, parse_symbol
from finstage_runtime.clock import Clock
from services.ingest.hours.grid import HOUR_MS, MINUTE_MS
from services.ingest.hours.zones import DAY_MS
from services.ingest.providers.yahoo_bars import GRANULARITIES, Window, fetched_bars
from services.ingest.providers.yahoo_batch import LEAST, MOST, BatchQuotes
from services.ingest.providers.yahoo_chart import INSTRUMENT_TYPES, Chart, read_chart, read_json
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.series import FetchedBars, Gap, GapReason, Instrument, Quote, SeriesKey
from services.ingest.upstream.client import UpstreamClient
from services.ingest.upstream.guard import ProviderStatus
from services.ingest.upstream.outcomes import Failure, Outcome, malformed
from services.ingest.upstream.transport import Reply

CHART_PATH = "/v8/finance/chart/"
SEARCH_PATH = "/v1/finance/search"

_EVENTS = "div,split,capitalGains"
# A request reaches the upstream, whose clock may differ, a moment later than its start was computed.
_LIMIT_MARGIN_MS = HOUR_MS
_YEAR_MS = 365 * DAY_MS
# Nothing is older.
_FIRST_MS = -2_208_988_800_000  # 1900-01-01


@dataclass(frozen=True, slots=True)
class _Reach:
    """What the upstream gives of an interval: so much a request, so far back (None: all that there is).

    A week or month at the edge of a request may be cut off there: `whole_ms` more is asked for on both sides.
    """

    per_request_ms: int
    back_ms: int | None = None
    whole_ms: int = 0


_SIXTY_DAYS = _Reach(60 * DAY_MS, 60 * DAY_MS)
# A request of more than 100 years of days is refused.
_REACH = {
    # A minute less than the seven days allowed: both ends are rounded outwards to seconds.
    Interval.M1: _Reach(7 * DAY_MS - MINUTE_MS, 30 * DAY_MS),
    Interval.M5: _SIXTY_DAYS,
    Interval.M15: _SIXTY_DAYS,
    Interval.M30: _SIXTY_DAYS,
    Interval.H1: _Reach(730 * DAY_MS, 730 * DAY_MS),
    Interval.D1: _Reach(99 * _YEAR_MS),
    Interval.W1: _Reach(99 * _YEAR_MS, whole_ms=8 * DAY_MS),
    Interval.MO1: _Reach(99 * _YEAR_MS, whole_ms=32 * DAY_MS),
}


class YahooProvider:
    """Implements services.ingest.providers.api.Provider."""

    def __init__(self, client: UpstreamClient, *, clock: Clock, batch: BatchQuotes) -> None:
        self._client = client
        self._clock = clock
        self._batch = batch

    @property
    def name(self) -> str:
        return self._client.name

    def fetch_bars(
        self, key: SeriesKey, start_ms: int | None, end_ms: int | None, *, deadline: float | None
    ) -> FetchedBars:
        now_ms = self._now_ms()
        reach = _REACH[key.interval]
        end_ms = min(now_ms + 1, now_ms + 1 if end_ms is None else end_ms)
        earliest_ms = _FIRST_MS
        if reach.back_ms is not None:
            earliest_ms = now_ms - reach.back_ms + _LIMIT_MARGIN_MS
        from_ms = earliest_ms if start_ms is None else max(start_ms, earliest_ms)
        parts: list[FetchedBars] = []
        for window in _requests(from_ms, end_ms, reach):
            part = self._part(key, window, now_ms, reach, deadline)
            parts.append(part)
            first_ms = part.instrument.first_bar_ms
            if reach.back_ms is None and (first_ms is None or window.start_ms <= first_ms):
                break
        limits = list(_limits(start_ms, from_ms, end_ms, parts))
        whole = FetchedBars(
            key=key,
            start_ms=from_ms if start_ms is None else start_ms,
            end_ms=end_ms,
            columns=Columns.empty(),
            last_is_final=True,
            instrument=Instrument(key.symbol, source=self.name, fetched_at_ms=now_ms),
            source=self.name,
            fetched_at_ms=now_ms,
            gaps=tuple(limits),
        )
        return _joined(whole, parts[::-1])

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        found: dict[str, Quote] = {}
        if len(symbols) >= LEAST:
            for first in range(0, len(symbols), MOST):
                some = [s for s in symbols[first : first + MOST] if is_symbol(s)]
                quotes = self._batch.fetch(some, now_ms=self._now_ms(), deadline=deadline)
                if isinstance(quotes, Failure):
                    break
                found |= quotes
        # What the batch lacks is asked for alone, which tells why there is none.
        return [found.get(symbol) or self._quote(symbol, deadline) for symbol in symbols]

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        chart = self._chart(symbol, {"interval": "1d", "range": "5d"}, deadline)
        if isinstance(chart, Failure):
            raise chart.as_error(symbol, "instrument")
        if chart.symbol and chart.symbol != symbol:
            raise malformed(f"asked for {symbol}, it sent {chart.symbol}").as_error(symbol, "instrument")
        return replace(chart.instrument, symbol=symbol, source=self.name, fetched_at_ms=self._now_ms())

    def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        params: dict[str, str | int] = {"q": query, "quotesCount": limit, "newsCount": 0}
        found = self._client.get(SEARCH_PATH, params, self._read_search, deadline=deadline)
        if isinstance(found, Failure):
            raise found.as_error(query, "search")
        now_ms = self._now_ms()
        return [replace(each, source=self.name, fetched_at_ms=now_ms) for each in found[:limit]]

    def status(self) -> list[ProviderStatus]:
        return [self._client.status()]

    def close(self) -> None:
        self._client.close()

    def _quote(self, symbol: str, deadline: float | None) -> Quote | FinstageError:
        try:
            chart = self._chart(
                symbol, {"interval": "1m", "range": "1d", "includePrePost": "false"}, deadline
            )
        except FinstageError as error:
            return error
        if not isinstance(chart, Failure):
            chart_or_quote = quote_of(chart, symbol, now_ms=self._now_ms(), source=self.name)
            if isinstance(chart_or_quote, Quote):
                return chart_or_quote
            chart = chart_or_quote
        return chart.as_error(symbol, "quote")

    def _part(
        self, key: SeriesKey, window: Window, now_ms: int, reach: _Reach, deadline: float | None
    ) -> FetchedBars:
        """The bars of one request; without bars when it has none."""
        until_ms = min(window.end_ms + reach.whole_ms, now_ms + 1000)
        params: dict[str, str | int] = {
            "interval": GRANULARITIES[key.interval],
            "period1": (window.start_ms - reach.whole_ms) // 1000,
            "period2": -(-until_ms // 1000),
            "events": _EVENTS,
            "includePrePost": "false",
        }
        chart = self._chart(key.symbol, params, deadline)
        bars: FetchedBars | Failure = (
            chart
            if isinstance(chart, Failure)
            else fetched_bars(
                chart, key, replace(window, asked_until_ms=until_ms), now_ms=now_ms, source=self.name
            )
        )
        if isinstance(bars, FetchedBars):
            return bars
        if bars.outcome is not Outcome.NO_DATA:
            raise bars.as_error(key.symbol, key.interval)
        beyond = "within the last" in bars.detail or "allowed to be fetched" in bars.detail
        limit = Gap(window.start_ms, window.end_ms, GapReason.PROVIDER_LIMIT, None, bars.detail)
        return FetchedBars(
            key=key,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            columns=Columns.empty(),
            last_is_final=True,
            instrument=Instrument(key.symbol, source=self.name, fetched_at_ms=now_ms),
            source=self.name,
            fetched_at_ms=now_ms,
            gaps=(limit,) if beyond else (),
        )

    def _chart(self, symbol: str, params: dict[str, str | int], deadline: float | None) -> Chart | Failure:
        if not is_symbol(symbol):
            raise InvalidRequest([Violation("symbol", f"a symbol is {ACCEPTED}")])
        path = CHART_PATH + quote(symbol, safe="")
        return self._client.get(
            path, params, lambda reply: read_chart(reply.status, reply.body), deadline=deadline
        )

    @staticmethod
    def _read_search(reply: Reply) -> list[Instrument] | Failure:
        found = read_json(reply.status, reply.body)
        if isinstance(found, Failure):
            return found
        quotes = found.get("quotes")
        if reply.status != 200 or not isinstance(quotes, list):
            return malformed(f"status {reply.status} without a list of quotes")
        return list(_instruments(quotes))

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def is_symbol(text: str) -> bool:
    """Whether `text` is a symbol in its one form."""
    try:
        return parse_symbol(text) == text
    except ValueError:
        return False


def _requests(start_ms: int, end_ms: int, reach: _Reach) -> Iterator[Window]:
    """The windows of single requests that make up [start_ms, end_ms), the newest first."""
    while start_ms < end_ms:
        from_ms = max(start_ms, end_ms - reach.per_request_ms)
        yield Window(from_ms, end_ms)
        end_ms = from_ms


def _limits(start_ms: int | None, from_ms: int, end_ms: int, parts: Sequence[FetchedBars]) -> Iterator[Gap]:
    """Why nothing is there before from_ms, or before the instrument was listed."""
    if start_ms is None:
        return
    if start_ms < from_ms:
        detail = "the provider keeps no older bars of this interval"
        yield Gap(start_ms, min(from_ms, end_ms), GapReason.PROVIDER_LIMIT, None, detail)
    first_ms = next((p.instrument.first_bar_ms for p in parts if p.instrument.first_bar_ms is not None), None)
    if first_ms is not None and first_ms > max(start_ms, from_ms):
        yield Gap(max(start_ms, from_ms), min(first_ms, end_ms), GapReason.BEFORE_LISTING, 0)


def _joined(whole: FetchedBars, parts: Sequence[FetchedBars]) -> FetchedBars:
    """`whole` with what the parts, oldest first, have."""
    newest = next((p for p in reversed(parts) if len(p.columns)), None)
    known = next((p.instrument for p in reversed(parts) if p.instrument.currency), whole.instrument)
    adjusted: Float64s | None = None
    if any(p.adjusted_close is not None for p in parts):
        empty = [np.full(len(p.columns), np.nan) for p in parts]
        given = [p.adjusted_close for p in parts]
        adjusted = np.concatenate([e if a is None else a for a, e in zip(given, empty, strict=True)])
    return replace(
        whole,
        columns=Columns.concat([p.columns for p in parts]),
        adjusted_close=adjusted,
        last_is_final=newest.last_is_final if newest else True,
        as_of_ms=newest.as_of_ms if newest else None,
        instrument=known,
        gaps=(*whole.gaps, *(gap for p in parts for gap in p.gaps)),
        flags=tuple(flag for p in parts for flag in p.flags),
        rejected=tuple(row for p in parts for row in p.rejected),
        events=tuple(sorted({e for p in parts for e in p.events}, key=lambda event: event.time_ms)),
    )


def _instruments(quotes: list[object]) -> Iterator[Instrument]:
    for found in quotes:
        if not isinstance(found, dict):
            continue
        text = {name: value for name, value in found.items() if isinstance(value, str)}
        try:
            symbol = parse_symbol(text.get("symbol", ""))
        except ValueError:  # a kind of instrument that is not served here
            continue
        yield Instrument(
            symbol=symbol,
            name=text.get("longname") or text.get("shortname", ""),
            type=INSTRUMENT_TYPES.get(text.get("quoteType", "").upper(), ""),
            exchange=text.get("exchange", ""),
            exchange_name=text.get("exchDisp", ""),
        )

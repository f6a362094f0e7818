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
from services.ingest.providers.yahoo_batch import MAX_SYMBOLS, MIN_SYMBOLS, BatchQuotes
from services.ingest.providers.yahoo_chart import Chart, read_chart, read_json
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.providers.yahoo_symbols import INSTRUMENT_TYPES, is_symbol, not_asked_for
from services.ingest.series import CheckedBars, FetchedBars, Gap, GapReason, Instrument, Quote, SeriesKey
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
# No history begins earlier.
_FIRST_MS = -2_208_988_800_000  # 1900-01-01


@dataclass(frozen=True, slots=True)
class _Reach:
    """How much of an interval the upstream gives in a request, and how far back; None: all that there is.

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
        replies: list[FetchedBars] = []
        for window in _requests(from_ms, end_ms, reach):
            reply = self._bars(key, window, now_ms, reach, deadline)
            replies.append(reply)
            first_ms = reply.instrument.first_bar_ms
            if reach.back_ms is None and (first_ms is None or window.start_ms <= first_ms):
                break
        start_ms = from_ms if start_ms is None else start_ms
        whole = replace(
            self._without_bars(key, Window(start_ms, end_ms), now_ms), gaps=_limit(start_ms, from_ms, end_ms)
        )
        return _joined(whole, replies[::-1])

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        found: dict[str, Quote] = {}
        if len(symbols) >= MIN_SYMBOLS:
            for first in range(0, len(symbols), MAX_SYMBOLS):
                some = [s for s in symbols[first : first + MAX_SYMBOLS] if is_symbol(s)]
                quotes = self._batch.fetch(some, now_ms=self._now_ms(), deadline=deadline)
                if isinstance(quotes, Failure):
                    break
                found |= quotes
        # A symbol that the batch lacks is asked for alone, which tells why there is no quote.
        return [found.get(symbol) or self._quote(symbol, deadline) for symbol in symbols]

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        chart = self._chart(symbol, {"interval": "1d", "range": "5d"}, deadline, needs_rows=False)
        if isinstance(chart, Failure):
            raise chart.as_error(symbol, "instrument")
        if failure := not_asked_for(symbol, chart.symbol):
            raise failure.as_error(symbol, "instrument")
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

    def resume(self) -> None:
        self._client.resume()
        self._batch.resume()

    def close(self) -> None:
        self._client.close()
        self._batch.close()

    def _quote(self, symbol: str, deadline: float | None) -> Quote | FinstageError:
        try:
            params: dict[str, str | int] = {"interval": "1m", "range": "1d", "includePrePost": "false"}
            chart = self._chart(symbol, params, deadline, needs_rows=False)
        except FinstageError as error:
            return error
        if not isinstance(chart, Failure):
            chart_or_quote = quote_of(chart, symbol, now_ms=self._now_ms(), source=self.name)
            if isinstance(chart_or_quote, Quote):
                return chart_or_quote
            chart = chart_or_quote
        return chart.as_error(symbol, "quote")

    def _bars(
        self, key: SeriesKey, window: Window, now_ms: int, reach: _Reach, deadline: float | None
    ) -> FetchedBars:
        """The answer to one request, which may have no bars."""
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
        return replace(self._without_bars(key, window, now_ms), gaps=(limit,) if beyond else ())

    def _without_bars(self, key: SeriesKey, window: Window, now_ms: int) -> FetchedBars:
        return FetchedBars(
            key=key,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            bars=CheckedBars(Columns.empty()),
            instrument=Instrument(key.symbol, source=self.name, fetched_at_ms=now_ms),
            source=self.name,
            fetched_at_ms=now_ms,
        )

    def _chart(
        self,
        symbol: str,
        params: dict[str, str | int],
        deadline: float | None,
        *,
        needs_rows: bool = True,
    ) -> Chart | Failure:
        if not is_symbol(symbol):
            raise InvalidRequest([Violation("symbol", f"a symbol is {ACCEPTED}")])
        path = CHART_PATH + quote(symbol, safe="")

        def ask() -> Chart | Failure:
            return self._client.get(
                path,
                params,
                lambda reply: read_chart(reply.status, reply.body, needs_rows=needs_rows),
                deadline=deadline,
            )

        chart = ask()
        if isinstance(chart, Chart) and not_asked_for(symbol, chart.symbol):
            # Replies to two requests have been mixed up before. Twice the same is what the upstream means.
            chart = ask()
        return chart

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


def _requests(start_ms: int, end_ms: int, reach: _Reach) -> Iterator[Window]:
    """The windows of the requests that make up [start_ms, end_ms), the newest first."""
    while start_ms < end_ms:
        from_ms = max(start_ms, end_ms - reach.per_request_ms)
        yield Window(from_ms, end_ms)
        end_ms = from_ms


def _limit(start_ms: int, from_ms: int, end_ms: int) -> tuple[Gap, ...]:
    """The gap between the start of a range and the oldest time that the upstream can be asked for."""
    if start_ms >= from_ms:
        return ()
    detail = "the provider keeps no older bars of this interval"
    return (Gap(start_ms, min(from_ms, end_ms), GapReason.PROVIDER_LIMIT, None, detail),)


def _joined(whole: FetchedBars, replies: Sequence[FetchedBars]) -> FetchedBars:
    """`whole` with the contents of the replies, oldest first."""
    newest = next((r for r in reversed(replies) if len(r.bars.columns)), None)
    known = next((r.instrument for r in reversed(replies) if r.instrument.currency), whole.instrument)
    adjusted: Float64s | None = None
    if any(r.bars.adjusted_close is not None for r in replies):
        empty = [np.full(len(r.bars.columns), np.nan) for r in replies]
        given = [r.bars.adjusted_close for r in replies]
        adjusted = np.concatenate([e if a is None else a for a, e in zip(given, empty, strict=True)])
    return replace(
        whole,
        bars=CheckedBars(
            Columns.concat([r.bars.columns for r in replies]),
            adjusted,
            last_is_final=newest.bars.last_is_final if newest else True,
            flags=tuple(flag for r in replies for flag in r.bars.flags),
            rejected=tuple(row for r in replies for row in r.bars.rejected),
        ),
        as_of_ms=newest.as_of_ms if newest else None,
        instrument=known,
        gaps=(*whole.gaps, *(gap for r in replies for gap in r.gaps)),
        events=tuple(sorted({e for r in replies for e in r.events}, key=lambda event: event.time_ms)),
    )


def _instruments(quotes: list[object]) -> Iterator[Instrument]:
    for found in quotes:
        if not isinstance(found, dict):
            continue
        text = {name: value for name, value in found.items() if isinstance(value, str)}
        try:
            symbol = parse_symbol(text.get("symbol", ""))
        except ValueError:  # of a kind that is not served here
            continue
        yield Instrument(
            symbol=symbol,
            name=text.get("longname") or text.get("shortname", ""),
            type=INSTRUMENT_TYPES.get(text.get("quoteType", "").upper(), ""),
            exchange=text.get("exchange", ""),
            exchange_name=text.get("exchDisp", ""),
        )

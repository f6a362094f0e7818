"""The client for ordinary code."""

import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import grpc

from finstage_client import calls, specs
from finstage_client.connection import ConnectionSettings, Endpoint, Service, endpoints
from finstage_client.specs import IndicatorSpec
from finstage_client.times import When
from finstage_client.upload import PATIENCE_S, Upload, WriteProgress
from finstage_client.values import (
    Catalogue,
    Deletion,
    Instrument,
    Job,
    ProviderStatus,
    Quote,
    QuoteResult,
    RejectedBar,
)
from finstage_market.errors import Unavailable
from finstage_market.interval import Interval

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Client:
    """Quotes, bars and indicators, as values and pandas DataFrames.

    Safe to share between threads. Every method raises a FinstageError: InvalidRequest, NotFound, RateLimited,
    Unavailable (also when the service cannot be reached), DeadlineTooShort, …

    In all methods, `symbol` is as providers write it ("AAPL", "^GSPC") and `interval` is one of 1m, 5m, 15m,
    30m, 1h, 1d, 1w, 1mo. A time is a datetime with a time zone, a date, or text: ISO 8601 ("2024-01-31",
    "2024-01-31T14:30Z") or back from now ("-30d"; units m, h, d, w, mo, y).
    """

    def __init__(
        self,
        *,
        price: str | None = None,
        indicators: str | None = None,
        ingest: str | None = None,
        timeout_s: float = 60.0,
        settings: ConnectionSettings | None = None,
    ) -> None:
        """Make a client of the services at these targets (HOST:PORT). The first call connects.

        price, indicators, ingest: None: FINSTAGE_PRICE_TARGET, … in the environment, or else this machine.
        timeout_s: the longest that one call may take.
        settings: API key and TLS files; None: FINSTAGE_API_KEY, FINSTAGE_TLS_CA, … in the environment.

        Raises:
            InvalidRequest: a target is not HOST:PORT, or a setting in the environment is wrong.
        """
        self._endpoints = endpoints({"price": price, "indicators": indicators, "ingest": ingest}, settings)
        self._channels = {service: _channel(endpoint) for service, endpoint in self._endpoints.items()}
        self._timeout_s = timeout_s

    def quote(self, symbol: str, *, max_age_s: float | None = None, allow_stale: bool | None = None) -> Quote:
        """Return the latest quote of one symbol. The options are those of `bars`."""
        return self._run(calls.quote(symbol, max_age_s=max_age_s, allow_stale=allow_stale))

    def quotes(
        self, symbols: str | Iterable[str], *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> list[QuoteResult]:
        """Return a quote or an error for each of up to 500 symbols, in their order."""
        return self._run(calls.quotes(symbols, max_age_s=max_age_s, allow_stale=allow_stale))

    def bars(
        self,
        symbol: str,
        interval: Interval | str = Interval.D1,
        *,
        start: When | None = None,
        end: When | None = None,
        limit: int | Literal["all"] | None = None,
        adjustment: str = "splits",
        max_age_s: float | None = None,
        allow_stale: bool | None = None,
        final_only: bool = False,
    ) -> "pd.DataFrame":
        """Return bars, oldest first: the newest 500, unless start, end or limit says otherwise.

        Columns open, high, low, close, volume (float64) by `open_time` (UTC). attrs has the fields of
        SeriesInfo as JSON does; finstage_client.info(frame) returns the SeriesInfo.

        start, end: bars that opened in [start, end).
        limit: the newest N bars instead; "all": the whole series.
        adjustment: "splits", or "all" (dividends too).
        max_age_s: how old the data may be without asking the source again. None: the service decides.
        allow_stale: whether older data is better than an error. None: the service decides (yes).
        final_only: leave the forming bar out.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        query = calls.SeriesQuery(
            symbol, interval, start, end, limit, adjustment, max_age_s, allow_stale, final_only
        )
        return self._run(calls.bars(query))

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument that `symbol` names."""
        return self._run(calls.instrument(symbol))

    def search(
        self, query: str, *, types: str | Iterable[str] = (), limit: int | None = None
    ) -> list[Instrument]:
        """Return instruments by a part of their symbol or name, best match first.

        types: "equity", "etf", …; several as a list.
        """
        return self._run(calls.search(query, types=types, limit=limit))

    def indicators(self, query: str = "", *, group: str = "") -> Catalogue:
        """Return the catalogue: the indicators whose name contains `query`, of `group` if given."""
        return self._run(calls.indicators(query, group=group))

    def compute(
        self,
        symbol: str,
        indicators: IndicatorSpec | str | Iterable[IndicatorSpec | str],
        interval: Interval | str = Interval.D1,
        *,
        start: When | None = None,
        end: When | None = None,
        limit: int | Literal["all"] | None = None,
        adjustment: str = "splits",
        max_age_s: float | None = None,
        allow_stale: bool | None = None,
        final_only: bool = False,
    ) -> "pd.DataFrame":
        """Return indicators, oldest bar first. The options are those of `bars`; up to 50,000 bars.

        indicators: specs, or their text: "rsi", "sma:timeperiod=20", "ma:matype=ema", "rsi@cutler#mine"
            (name[:param=value[,param=value]][@variant][#id]).

        A column per output, by `open_time` (UTC): the spec's id ("sma"), or id.output ("macd.macdsignal")
        where there are several; NaN where there is no value. The id is the name unless the spec has one or
        several specs have that name: then "sma(timeperiod=20)". attrs has the fields of FrameInfo as JSON
        does; finstage_client.info(frame) returns the FrameInfo, whose `results` say how each was computed.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        wanted = specs.with_ids(calls.one_or_more(indicators))
        catalogue = self.indicators() if specs.need_catalogue(wanted) else None
        query = calls.SeriesQuery(
            symbol, interval, start, end, limit, adjustment, max_age_s, allow_stale, final_only
        )
        return self._run(calls.compute(query, wanted, catalogue))

    def backfill(
        self,
        symbols: str | Iterable[str] = (),
        intervals: Interval | str | Iterable[Interval | str] = (Interval.D1,),
        *,
        start: When | None = None,
        end: When | None = None,
        universe: str = "",
        idempotency_key: str = "",
    ) -> Job:
        """Start a job that brings series in from the provider.

        universe: a list of symbols that ingest has under this name, instead of symbols.
        idempotency_key: a name for this request; sent again, it returns the same job, and the parts of it
            that failed are tried again.
        """
        return self._run(
            calls.create_backfill(
                symbols, intervals, start=start, end=end, universe=universe, idempotency_key=idempotency_key
            )
        )

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return self._run(calls.job(job_id))

    def jobs(self, *, state: str | None = None, limit: int | None = None) -> list[Job]:
        """Return the newest jobs, newest first: 50 when `limit` is None, at most 200."""
        return self._run(calls.jobs(state=state, limit=limit))

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job; what it has committed stays."""
        return self._run(calls.cancel_job(job_id))

    def watch_job(self, job_id: str) -> Iterator[Job]:
        """Yield the job now, at each change, and last when it has ended."""
        call = calls.watch_job(job_id)
        stream = self._stream(call.service, call.method)(call.request, metadata=self._metadata(call.service))
        try:
            for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise self._endpoints[call.service].error(error) from error
        finally:
            stream.cancel()

    def write(
        self,
        upload: Upload,
        progress: Callable[[WriteProgress], None] | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> WriteProgress:
        """Carry out a write; call `progress` after each commit.

        An interrupted write continues where it was: by itself, as long as no more than patience_s pass
        without a commit, and when the same content is written again under the same idempotency key.
        """
        while True:
            try:
                return self._write(upload, progress)
            except Unavailable as error:
                time.sleep(upload.pause_s(error, patience_s=patience_s, now_s=time.monotonic()))

    def _write(self, upload: Upload, progress: Callable[[WriteProgress], None] | None) -> WriteProgress:
        requests: SimpleQueue[bytes | None] = SimpleQueue()
        requests.put(upload.header)
        channel = self._channels["ingest"]
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(calls.WRITE_BARS)
        stream = method(iter(requests.get, None), metadata=self._metadata("ingest"))
        try:
            for message in stream:
                for request in upload.receive(message):
                    requests.put(request)
                if progress is not None:
                    progress(upload.progress)
                if upload.is_done:
                    requests.put(None)
        except grpc.RpcError as error:
            raise self._endpoints["ingest"].error(error) from error
        finally:
            requests.put(None)
            stream.cancel()
        return upload.result()

    def rejected_bars(
        self, *, symbol: str = "", interval: Interval | str | None = None, source: str = ""
    ) -> Iterator[RejectedBar]:
        """Yield refused rows, newest first; further pages are read as they are needed."""
        token = ""
        while True:
            page = calls.rejected_bars(symbol=symbol, interval=interval, source=source, page_token=token)
            rows, token = self._run(page)
            yield from rows
            if not token:
                return

    def delete_bars(
        self,
        symbol: str,
        interval: Interval | str,
        *,
        reason: str,
        start: When | None = None,
        end: When | None = None,
        dry_run: bool = False,
    ) -> Deletion:
        """Delete bars that should never have been stored; the whole series without start and end.

        reason: why; it is stored with the gap.
        dry_run: only return what would be deleted.
        """
        return self._run(
            calls.delete_bars(symbol, interval, reason=reason, start=start, end=end, dry_run=dry_run)
        )

    def resume_upstream(self, provider: str = "") -> list[ProviderStatus]:
        """Ask a provider, or all, again from now on, although the upstream asked us to wait."""
        return self._run(calls.resume_upstream(provider))

    def upstream_status(self) -> list[ProviderStatus]:
        """Return how each provider fares: its limiter, breaker and recent failures."""
        return self._run(calls.upstream_status())

    def health(self, service: Service) -> str:
        """Return what the service says of itself: SERVING or NOT_SERVING."""
        return self._run(calls.health(service))

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: calls.Unary[T] | calls.Collected[T]) -> T:
        metadata = self._metadata(call.service)
        try:
            if isinstance(call, calls.Unary):
                unary: grpc.UnaryUnaryMultiCallable[bytes, bytes]
                unary = self._channels[call.service].unary_unary(call.method)
                return call.read(unary(call.request, timeout=self._timeout_s, metadata=metadata))
            stream = self._stream(call.service, call.method)
            return call.read(stream(call.request, timeout=self._timeout_s, metadata=metadata))
        except grpc.RpcError as error:
            raise self._endpoints[call.service].error(error) from error

    def _stream(self, service: Service, method: str) -> "grpc.UnaryStreamMultiCallable[bytes, bytes]":
        return self._channels[service].unary_stream(method)

    def _metadata(self, service: Service) -> tuple[tuple[str, str], ...]:
        return self._endpoints[service].settings.metadata


def _channel(endpoint: Endpoint) -> grpc.Channel:
    tls = endpoint.credentials
    if tls is None:
        return grpc.insecure_channel(endpoint.target, options=endpoint.options)
    return grpc.secure_channel(endpoint.target, tls, options=endpoint.options)

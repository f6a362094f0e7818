"""The client for ordinary code."""

import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
import pandas as pd

from finstage_client import calls, specs
from finstage_client.calls import SeriesOptions, Service, When
from finstage_client.specs import IndicatorSpec
from finstage_client.upload import PATIENCE_S, Upload, WriteProgress
from finstage_client.values import Catalogue, Instrument, Job, ProviderStatus, Quote, QuoteResult, RejectedBar
from finstage_market.errors import FinstageError, Unavailable
from finstage_market.interval import Interval
from finstage_rpc.channel import open_blocking_channel
from finstage_rpc.errors import from_rpc_error
from finstage_rpc.settings import ChannelSettings

T = TypeVar("T")


class Client:
    """Quotes, bars and indicators, as values and pandas DataFrames.

    Safe to share between threads. Every method raises a finstage_market.errors.FinstageError: InvalidRequest,
    NotFound, RateLimited, Unavailable (also when the service cannot be reached), DeadlineTooShort, …

    In all methods: `symbol` is as providers write it ("AAPL", "^GSPC"); `interval` is one of 1m, 5m, 15m,
    30m, 1h, 1d, 1w, 1mo; times are datetimes, dates or ISO 8601 text, UTC without a zone; options are
    described at finstage_client.SeriesOptions.
    """

    def __init__(
        self,
        *,
        price: str | None = None,
        indicators: str | None = None,
        ingest: str | None = None,
        timeout_s: float = 60.0,
        settings: ChannelSettings | None = None,
    ) -> None:
        """A client of the services at these targets (HOST:PORT). Nothing is connected before the first call.

        price, indicators, ingest: None: as FINSTAGE_PRICE_TARGET, … in the environment say, or this machine.
        timeout_s: what one call may take.
        settings: API key and TLS; None: those in the environment (FINSTAGE_API_KEY, FINSTAGE_TLS_CA, …).
        """
        settings = settings or calls.environment()
        targets = calls.targets(price=price, indicators=indicators, ingest=ingest)
        self._names = {service: f"{service} service at {target}" for service, target in targets.items()}
        self._channels = {
            service: open_blocking_channel(target, settings, retry=calls.SERVICES)
            for service, target in targets.items()
        }
        self._timeout_s = timeout_s
        self._metadata = calls.metadata(settings)

    def quote(self, symbol: str, *, max_age_s: float | None = None, allow_stale: bool | None = None) -> Quote:
        """The latest quote of one symbol."""
        return self._run(calls.quote(symbol, max_age_s=max_age_s, allow_stale=allow_stale))

    def quotes(
        self, symbols: Iterable[str], *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> list[QuoteResult]:
        """A quote or an error for each of up to 500 symbols, in their order."""
        return self._run(calls.quotes(symbols, max_age_s=max_age_s, allow_stale=allow_stale))

    def bars(
        self,
        symbol: str,
        interval: Interval | str = Interval.D1,
        **options: Unpack[SeriesOptions],
    ) -> pd.DataFrame:
        """Bars, oldest first; the whole series when neither start, end nor limit is given.

        Columns open, high, low, close, volume (float64) by `open_time` (UTC). attrs are the fields of
        finstage_client.SeriesInfo: symbol, interval, adjustment, version, last_is_final (False: the last
        bar is still forming), coverage, provenance, currency, time_zone.
        """
        return self._run(calls.bars(symbol, interval, options))

    def instrument(self, symbol: str) -> Instrument:
        """What `symbol` names."""
        return self._run(calls.instrument(symbol))

    def search(self, query: str, *, types: Iterable[str] = (), limit: int | None = None) -> list[Instrument]:
        """Instruments by a part of their symbol or name, best match first; types as in ("equity", "etf")."""
        return self._run(calls.search(query, types=types, limit=limit))

    def indicators(self, query: str = "", *, group: str = "") -> Catalogue:
        """The catalogue: those whose name contains `query`, of the group, if given."""
        return self._run(calls.indicators(query, group=group))

    def compute(
        self,
        symbol: str,
        indicators: Iterable[IndicatorSpec | str],
        interval: Interval | str = Interval.D1,
        **options: Unpack[SeriesOptions],
    ) -> pd.DataFrame:
        """Indicators; of the newest 500 bars when neither start, end nor limit is given.

        indicators: specs, or their text: "rsi", "sma:timeperiod=20", "ma:matype=ema", "rsi@cutler#mine"
        (name[:param=value[,param=value]][@variant][#id]).

        A column per output, by `open_time` (UTC): the spec's id ("sma"), or id.output ("macd.macdsignal")
        where there are several; NaN where there is no value. A spec without an id has its name as id, or,
        where several have that name, "sma(timeperiod=20)". attrs are the fields of
        finstage_client.FrameInfo; its `results` tell parameters, variant, lookback and status of each.
        """
        wanted = specs.with_ids(indicators)
        catalogue = self.indicators() if specs.need_catalogue(wanted) else None
        return self._run(calls.compute(symbol, wanted, interval, catalogue, options))

    def backfill(
        self,
        symbols: Iterable[str],
        intervals: Iterable[Interval | str] = (Interval.D1,),
        *,
        start: When | None = None,
        end: When | None = None,
        request_id: str = "",
        universe: str = "",
    ) -> Job:
        """Starts a job that brings series in from the provider.

        universe: a list of symbols that ingest has under this name, instead of symbols.
        request_id: given again, it gives the same job, and what failed of it is tried again.
        """
        return self._run(
            calls.create_backfill(
                symbols, intervals, start=start, end=end, request_id=request_id, universe=universe
            )
        )

    def job(self, job_id: str) -> Job:
        """A job as it is now."""
        return self._run(calls.job(job_id))

    def jobs(self, *, state: str | None = None, limit: int | None = None) -> list[Job]:
        """The newest jobs, newest first (50 when `limit` is None)."""
        return self._run(calls.jobs(state=state, limit=limit))

    def cancel_job(self, job_id: str) -> Job:
        """Ends a job; what it has committed stays."""
        return self._run(calls.cancel_job(job_id))

    def watch_job(self, job_id: str) -> Iterator[Job]:
        """The job now, at each change, and last when it has ended."""
        call = calls.watch_job(job_id)
        channel = self._channels[call.service]
        method: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(call.method)
        stream = method(call.request, metadata=self._metadata)
        try:
            for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise self._error(call.service, error) from error
        finally:
            stream.cancel()

    def write(
        self,
        upload: Upload,
        progress: Callable[[WriteProgress], None] | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> WriteProgress:
        """Carries out a write, and tells `progress` after each commit.

        A write that is broken off continues where it was: by itself, as long as no more than patience_s pass
        without a commit; and when the same (its idempotency key and content) is written again.
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
        stream = method(iter(requests.get, None), metadata=self._metadata)
        try:
            for message in stream:
                for request in upload.receive(message):
                    requests.put(request)
                if progress is not None:
                    progress(upload.progress)
                if upload.is_done:
                    requests.put(None)
        except grpc.RpcError as error:
            raise self._error("ingest", error) from error
        finally:
            requests.put(None)
            stream.cancel()
        return upload.result()

    def rejected_bars(
        self, *, symbol: str = "", interval: Interval | str | None = None, source: str = ""
    ) -> Iterator[RejectedBar]:
        """Rows that were refused, the newest first, as far back as they are taken."""
        token = ""
        while True:
            page = calls.rejected_bars(symbol=symbol, interval=interval, source=source, page_token=token)
            rows, token = self._run(page)
            yield from rows
            if not token:
                return

    def upstream_status(self) -> list[ProviderStatus]:
        """How each provider fares."""
        return self._run(calls.upstream_status())

    def health(self, service: Service) -> str:
        """What the service says of itself: SERVING or NOT_SERVING."""
        return self._run(calls.health(service))

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: calls.Unary[T] | calls.Collected[T]) -> T:
        channel = self._channels[call.service]
        try:
            if isinstance(call, calls.Unary):
                unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(call.method)
                return call.read(unary(call.request, timeout=self._timeout_s, metadata=self._metadata))
            stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(call.method)
            return call.read(stream(call.request, timeout=self._timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            raise self._error(call.service, error) from error

    def _error(self, service: Service, error: grpc.RpcError) -> FinstageError:
        return from_rpc_error(error, service=self._names[service])

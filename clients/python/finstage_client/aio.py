"""The client for asyncio code."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
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


class AsyncClient:
    """The methods of finstage_client.Client, which describes them, as coroutines.

    `watch_job` and `rejected_bars` are iterated with `async for`. A client belongs to the event loop that it
    was made in.
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
        """Make a client. The arguments are those of Client."""
        self._endpoints = endpoints({"price": price, "indicators": indicators, "ingest": ingest}, settings)
        self._channels = {service: _channel(endpoint) for service, endpoint in self._endpoints.items()}
        self._timeout_s = timeout_s

    async def quote(
        self, symbol: str, *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> Quote:
        return await self._run(calls.quote(symbol, max_age_s=max_age_s, allow_stale=allow_stale))

    async def quotes(
        self, symbols: str | Iterable[str], *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> list[QuoteResult]:
        return await self._run(calls.quotes(symbols, max_age_s=max_age_s, allow_stale=allow_stale))

    async def bars(
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
        query = calls.SeriesQuery(
            symbol, interval, start, end, limit, adjustment, max_age_s, allow_stale, final_only
        )
        return await self._run(calls.bars(query))

    async def instrument(self, symbol: str) -> Instrument:
        return await self._run(calls.instrument(symbol))

    async def search(
        self, query: str, *, types: str | Iterable[str] = (), limit: int | None = None
    ) -> list[Instrument]:
        return await self._run(calls.search(query, types=types, limit=limit))

    async def indicators(self, query: str = "", *, group: str = "") -> Catalogue:
        return await self._run(calls.indicators(query, group=group))

    async def compute(
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
        wanted = specs.with_ids(calls.one_or_more(indicators))
        catalogue = await self.indicators() if specs.need_catalogue(wanted) else None
        query = calls.SeriesQuery(
            symbol, interval, start, end, limit, adjustment, max_age_s, allow_stale, final_only
        )
        return await self._run(calls.compute(query, wanted, catalogue))

    async def backfill(
        self,
        symbols: str | Iterable[str] = (),
        intervals: Interval | str | Iterable[Interval | str] = (Interval.D1,),
        *,
        start: When | None = None,
        end: When | None = None,
        universe: str = "",
        idempotency_key: str = "",
    ) -> Job:
        return await self._run(
            calls.create_backfill(
                symbols, intervals, start=start, end=end, universe=universe, idempotency_key=idempotency_key
            )
        )

    async def job(self, job_id: str) -> Job:
        return await self._run(calls.job(job_id))

    async def jobs(self, *, state: str | None = None, limit: int | None = None) -> list[Job]:
        return await self._run(calls.jobs(state=state, limit=limit))

    async def cancel_job(self, job_id: str) -> Job:
        return await self._run(calls.cancel_job(job_id))

    async def watch_job(self, job_id: str) -> AsyncIterator[Job]:
        call = calls.watch_job(job_id)
        stream = self._stream(call.service, call.method)(call.request, metadata=self._metadata(call.service))
        try:
            async for message in stream:
                yield call.read(message)
        except grpc.RpcError as error:
            raise self._endpoints[call.service].error(error) from error
        finally:
            stream.cancel()

    async def write(
        self,
        upload: Upload,
        progress: Callable[[WriteProgress], None] | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> WriteProgress:
        while True:
            try:
                return await self._write(upload, progress)
            except Unavailable as error:
                await asyncio.sleep(upload.pause_s(error, patience_s=patience_s, now_s=time.monotonic()))

    async def _write(self, upload: Upload, progress: Callable[[WriteProgress], None] | None) -> WriteProgress:
        channel = self._channels["ingest"]
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(calls.WRITE_BARS)
        stream = method(metadata=self._metadata("ingest"))
        try:
            await stream.write(upload.header)
            async for message in stream:
                for request in upload.receive(message):
                    await stream.write(request)
                if progress is not None:
                    progress(upload.progress)
                if upload.is_done:
                    await stream.done_writing()
        except grpc.RpcError as error:
            raise self._endpoints["ingest"].error(error) from error
        finally:
            stream.cancel()
        return upload.result()

    async def rejected_bars(
        self, *, symbol: str = "", interval: Interval | str | None = None, source: str = ""
    ) -> AsyncIterator[RejectedBar]:
        token = ""
        while True:
            page = calls.rejected_bars(symbol=symbol, interval=interval, source=source, page_token=token)
            rows, token = await self._run(page)
            for row in rows:
                yield row
            if not token:
                return

    async def delete_bars(
        self,
        symbol: str,
        interval: Interval | str,
        *,
        reason: str,
        start: When | None = None,
        end: When | None = None,
        dry_run: bool = False,
    ) -> Deletion:
        return await self._run(
            calls.delete_bars(symbol, interval, reason=reason, start=start, end=end, dry_run=dry_run)
        )

    async def resume_upstream(self, provider: str = "") -> list[ProviderStatus]:
        return await self._run(calls.resume_upstream(provider))

    async def upstream_status(self) -> list[ProviderStatus]:
        return await self._run(calls.upstream_status())

    async def health(self, service: Service) -> str:
        return await self._run(calls.health(service))

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: calls.Unary[T] | calls.Collected[T]) -> T:
        metadata = self._metadata(call.service)
        try:
            if isinstance(call, calls.Unary):
                unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
                unary = self._channels[call.service].unary_unary(call.method)
                return call.read(await unary(call.request, timeout=self._timeout_s, metadata=metadata))
            method = self._stream(call.service, call.method)
            stream = method(call.request, timeout=self._timeout_s, metadata=metadata)
            return call.read([message async for message in stream])
        except grpc.RpcError as error:
            raise self._endpoints[call.service].error(error) from error

    def _stream(self, service: Service, method: str) -> "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]":
        return self._channels[service].unary_stream(method)

    def _metadata(self, service: Service) -> tuple[tuple[str, str], ...]:
        return self._endpoints[service].settings.metadata


def _channel(endpoint: Endpoint) -> grpc.aio.Channel:
    tls = endpoint.credentials
    if tls is None:
        return grpc.aio.insecure_channel(endpoint.target, options=endpoint.options)
    return grpc.aio.secure_channel(endpoint.target, tls, options=endpoint.options)

"""The client for asyncio code."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
import pandas as pd

from finstage_client import calls, specs
from finstage_client.calls import SeriesOptions, Service, When
from finstage_client.specs import IndicatorSpec
from finstage_client.upload import PATIENCE_S, Upload, WriteProgress
from finstage_client.values import Catalogue, Instrument, Job, ProviderStatus, Quote, QuoteResult, RejectedBar
from finstage_market.errors import Unavailable
from finstage_market.interval import Interval
from finstage_rpc.channel import open_channel
from finstage_rpc.errors import from_rpc_error
from finstage_rpc.settings import ChannelSettings

T = TypeVar("T")


class AsyncClient:
    """As finstage_client.Client, which describes the methods; each is awaited, and `watch_job` is iterated.

    Belongs to the event loop that it was made in.
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
        """The arguments are those of Client."""
        settings = settings or calls.environment()
        targets = calls.targets(price=price, indicators=indicators, ingest=ingest)
        self._channels = {
            service: open_channel(
                target, settings, name=f"{service} service at {target}", retry=calls.SERVICES
            )
            for service, target in targets.items()
        }
        self._timeout_s = timeout_s
        self._metadata = calls.metadata(settings)

    async def quote(
        self, symbol: str, *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> Quote:
        return await self._run(calls.quote(symbol, max_age_s=max_age_s, allow_stale=allow_stale))

    async def quotes(
        self, symbols: Iterable[str], *, max_age_s: float | None = None, allow_stale: bool | None = None
    ) -> list[QuoteResult]:
        return await self._run(calls.quotes(symbols, max_age_s=max_age_s, allow_stale=allow_stale))

    async def bars(
        self,
        symbol: str,
        interval: Interval | str = Interval.D1,
        **options: Unpack[SeriesOptions],
    ) -> pd.DataFrame:
        return await self._run(calls.bars(symbol, interval, options))

    async def instrument(self, symbol: str) -> Instrument:
        return await self._run(calls.instrument(symbol))

    async def search(
        self, query: str, *, types: Iterable[str] = (), limit: int | None = None
    ) -> list[Instrument]:
        return await self._run(calls.search(query, types=types, limit=limit))

    async def indicators(self, query: str = "", *, group: str = "") -> Catalogue:
        return await self._run(calls.indicators(query, group=group))

    async def compute(
        self,
        symbol: str,
        indicators: Iterable[IndicatorSpec | str],
        interval: Interval | str = Interval.D1,
        **options: Unpack[SeriesOptions],
    ) -> pd.DataFrame:
        wanted = specs.with_ids(indicators)
        catalogue = await self.indicators() if specs.need_catalogue(wanted) else None
        return await self._run(calls.compute(symbol, wanted, interval, catalogue, options))

    async def backfill(
        self,
        symbols: Iterable[str],
        intervals: Iterable[Interval | str] = (Interval.D1,),
        *,
        start: When | None = None,
        end: When | None = None,
        request_id: str = "",
        universe: str = "",
    ) -> Job:
        return await self._run(
            calls.create_backfill(
                symbols, intervals, start=start, end=end, request_id=request_id, universe=universe
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
        stream = self._channels[call.service].stream(call.method, call.request, bytes)
        async with contextlib.aclosing(stream):
            async for message in stream:
                yield call.read(message)

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
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.grpc.stream_stream(
            calls.WRITE_BARS
        )
        stream = method(metadata=self._metadata)
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
            raise from_rpc_error(error, service=channel.name) from error
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
        channel = self._channels[call.service]
        if isinstance(call, calls.Unary):
            return call.read(await channel.call(call.method, call.request, bytes, timeout_s=self._timeout_s))
        stream = channel.stream(call.method, call.request, bytes, timeout_s=self._timeout_s)
        return call.read([message async for message in stream])

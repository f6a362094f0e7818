"""IngestServicer: finstage.ingest.v1.IngestService, from the contract to the domain and back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage.ingest.v1 import jobs_pb2
from finstage_market.errors import NotFound, no_data
from finstage_rpc.call import Context
from finstage_rpc.fields import Fields, shown
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest import ingest_messages as messages
from services.ingest.providers.catalogue import PROVIDERS
from services.ingest.series import SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.values import Job, JobSpec, JobState, WriteHeader, WriteMode
from services.ingest.upstream.guard import ProviderStatus
from services.ingest.writing.batches import read_header
from services.ingest.writing.write_stream import written

SERVICE = pb.DESCRIPTOR.services_by_name["IngestService"]
# Their requests are read from the wire's bytes.
RAW_REQUESTS = frozenset({"WriteBars"})

MAX_SYMBOLS = 1000
MAX_INTERVALS = 8
MAX_NAME = 128
MAX_JOBS = 200
MAX_REJECTED = 1000
MAX_REASON = 200
WATCH_S = 0.25


class IngestServicer:
    """The contract's comments say what each RPC does.

    database, writing: where the store's reads and writes block: writes may wait long for each other.
    universes: the lists of symbols that CreateBackfill knows by name.
    wake: told when there is a new job.
    upstream_status: how each provider fares, in the order in which they are asked; does not block.
    resume: asks the provider of that name again from now on, or all when it is empty; does not block.
    """

    def __init__(
        self,
        store: Store,
        *,
        database: BoundedExecutor,
        writing: BoundedExecutor,
        clock: Clock,
        universes: Mapping[str, Sequence[str]],
        wake: Callable[[], None],
        upstream_status: Callable[[], Sequence[ProviderStatus]],
        resume: Callable[[str], None],
    ) -> None:
        self._store = store
        self._database = database
        self._writing = writing
        self._clock = clock
        self._universes = universes
        self._wake = wake
        self._upstream_status = upstream_status
        self._resume = resume

    async def WriteBars(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[pb.WriteBarsResponse]:
        first = await anext(requests, b"")
        header = _header(read_header(first))
        progress = await self._writing.run(self._store.writes.open, header)
        ready = pb.WriteBarsReady(
            next_sequence=progress.next_sequence, committed=messages.row_counts(progress.rows)
        )
        yield pb.WriteBarsResponse(ready=ready)
        pairs = written(
            requests,
            header,
            writes=self._store.writes,
            instruments=self._store.instruments,
            database=self._writing,
            clock=self._clock,
        )
        async with aclosing(pairs):
            async for batch, result in pairs:
                now_ms = int(self._clock.wall() * 1000)
                ack = messages.write_ack(batch, result, source=header.source, now_ms=now_ms)
                yield pb.WriteBarsResponse(ack=ack)

    async def CreateBackfill(
        self, request: pb.CreateBackfillRequest, context: Context
    ) -> pb.CreateBackfillResponse:
        fields = Fields()
        symbols = self._symbols(fields, request)
        intervals = fields.intervals("intervals", request.intervals, most=MAX_INTERVALS)
        start_ms, end_ms = fields.time_range(request.range)
        if start_ms is not None and start_ms > self._clock.wall() * 1000:
            given = request.range.start.ToJsonString()
            fields.wrong("range.start", f"{given} was given; a time that is not in the future is accepted")
        key = fields.text("idempotency_key", request.idempotency_key, least=0, most=MAX_NAME)
        fields.done()
        spec = JobSpec(tuple(dict.fromkeys(symbols)), tuple(dict.fromkeys(intervals)), start_ms, end_ms)
        job = await self._writing.run(self._store.jobs.create, spec, idempotency_key=key)
        self._wake()
        return pb.CreateBackfillResponse(job=self._job(job))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        job_id = _job_id(request)
        return pb.GetJobResponse(job=self._job(await self._database.run(self._store.jobs.get, job_id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        fields = Fields()
        state = fields.enum("state", jobs_pb2.JobState, request.state)
        limit = fields.page_size(request.page_size, most=MAX_JOBS, default=50)
        before = fields.text("page_token", request.page_token, least=0, most=MAX_NAME)
        fields.done()
        try:
            found = await self._database.run(
                self._store.jobs.find,
                state=JobState(jobs_pb2.JobState.Name(state).removeprefix("JOB_STATE_")) if state else None,
                before=before or None,
                limit=limit + 1,
            )
        except NotFound:
            fields.wrong("page_token", f"{shown(before)} was not returned by an earlier call")
            fields.done()
            raise
        page = found[:limit]
        return pb.ListJobsResponse(
            jobs=[self._job(job) for job in page],
            next_page_token=page[-1].id if len(found) > limit else "",
        )

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        job_id = _job_id(request)
        return pb.CancelJobResponse(job=self._job(await self._writing.run(self._store.jobs.cancel, job_id)))

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        job_id = _job_id(request)
        sent: Job | None = None
        while sent is None or not sent.state.has_ended:
            job = await self._database.run(self._store.jobs.get, job_id)
            if job != sent:
                yield pb.WatchJobResponse(job=self._job(job))
                sent = job
            if not job.state.has_ended:
                await asyncio.sleep(WATCH_S)

    async def ListRejectedBars(
        self, request: pb.ListRejectedBarsRequest, context: Context
    ) -> pb.ListRejectedBarsResponse:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol) if request.symbol else None
        interval = fields.interval("interval", request.interval) if request.interval else None
        limit = fields.page_size(request.page_size, most=MAX_REJECTED, default=100)
        before_id = None
        if request.page_token:
            if request.page_token.isdecimal() and len(request.page_token) < 19:
                before_id = int(request.page_token)
            else:
                fields.wrong("page_token", f"{shown(request.page_token)} was not returned by an earlier call")
        source = fields.text("source", request.source, least=0, most=MAX_NAME)
        fields.done()
        found = await self._database.run(
            self._store.rejections.find,
            symbol=symbol,
            interval=interval,
            source=source or None,
            before_id=before_id,
            limit=limit + 1,
        )
        page = found[:limit]
        return pb.ListRejectedBarsResponse(
            bars=[messages.rejected_bar(each) for each in page],
            next_page_token=str(page[-1].id) if len(found) > limit else "",
        )

    async def DeleteBars(self, request: pb.DeleteBarsRequest, context: Context) -> pb.DeleteBarsResponse:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol)
        interval = fields.interval("interval", request.interval)
        start_ms, end_ms = fields.time_range(request.range)
        if request.HasField("range") and start_ms is None and end_ms is None:
            fields.wrong("range", "it has neither start nor end; leave it out to delete the whole series")
        reason = fields.text("reason", request.reason, least=1, most=MAX_REASON)
        fields.done()
        key, deletions = SeriesKey(symbol, interval), self._store.deletions
        if request.dry_run:
            found = await self._database.run(deletions.preview, key, start_ms=start_ms, end_ms=end_ms)
        else:
            found = await self._writing.run(
                deletions.delete, key, start_ms=start_ms, end_ms=end_ms, reason=reason
            )
        if found is None:
            raise no_data(symbol, interval)
        return messages.deletion(found)

    async def GetUpstreamStatus(
        self, request: pb.GetUpstreamStatusRequest, context: Context
    ) -> pb.GetUpstreamStatusResponse:
        return pb.GetUpstreamStatusResponse(
            providers=[messages.provider_status(each) for each in self._upstream_status()]
        )

    async def ResumeUpstream(
        self, request: pb.ResumeUpstreamRequest, context: Context
    ) -> pb.ResumeUpstreamResponse:
        names = [each.provider for each in self._upstream_status()]
        fields = Fields()
        if request.provider and request.provider not in names:
            accepted = ", ".join(names) or "none, for no provider has an upstream"
            fields.wrong("provider", f"{shown(request.provider)} was given; accepted: {accepted}")
        fields.done()
        self._resume(request.provider)
        return pb.ResumeUpstreamResponse(
            providers=[messages.provider_status(each) for each in self._upstream_status()]
        )

    def _symbols(self, fields: Fields, request: pb.CreateBackfillRequest) -> Sequence[str]:
        match request.WhichOneof("target"):
            case "symbol_list":
                return fields.symbols("symbol_list.symbols", request.symbol_list.symbols, most=MAX_SYMBOLS)
            case "universe":
                if request.universe not in self._universes:
                    known = ", ".join(sorted(self._universes))
                    accepted = f"one of: {known}" if known else "no universe is configured"
                    fields.wrong("universe", f"{shown(request.universe)} was given; {accepted}")
                return self._universes.get(request.universe, ())
            case _:
                fields.wrong("symbol_list", "neither symbol_list nor universe was given; one is required")
                return ()

    def _job(self, job: Job) -> jobs_pb2.Job:
        return messages.job(job, now_ms=int(self._clock.wall() * 1000))


def _header(sent: pb.WriteBarsHeader) -> WriteHeader:
    fields = Fields()
    key = fields.text("header.idempotency_key", sent.idempotency_key, least=1, most=MAX_NAME)
    source = fields.text("header.source", sent.source, least=1, most=MAX_NAME)
    name, _, of = source.partition(":")
    # "file:NAME" is a client's; what the provider "file" brings is "file".
    if name.strip().casefold() in PROVIDERS and not (name == "file" and of):
        accepted = "a name that is no provider's, such as client:NAME or file:NAME, is accepted"
        fields.wrong("header.source", f"{shown(sent.source)} was given; {accepted}")
    mode = fields.enum("header.mode", pb.WriteMode, sent.mode) or pb.WRITE_MODE_UPSERT
    fields.done()
    return WriteHeader(key, WriteMode(pb.WriteMode.Name(mode).removeprefix("WRITE_MODE_")), source)


def _job_id(request: pb.GetJobRequest | pb.CancelJobRequest | pb.WatchJobRequest) -> str:
    fields = Fields()
    job_id = fields.text("job_id", request.job_id, least=1, most=MAX_NAME)
    fields.done()
    return job_id

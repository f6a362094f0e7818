"""Three small services on free ports, written by hand, and the command called as a process would be."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from finstage.indicators.v1 import indicator_service_pb2 as indicators_pb
from finstage.ingest.v1 import ingest_service_pb2 as ingest_pb
from finstage.ingest.v1 import jobs_pb2
from finstage.market.v1 import provenance_pb2, quote_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb
from finstage_client.cli import main
from finstage_market import wire
from finstage_market.columns import Columns
from finstage_market.errors import InvalidRequest, PreconditionFailed, Reason, Violation, symbol_not_found
from finstage_market.statuses import to_status
from finstage_market.times import timestamp
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ServerSettings

DAY_MS = 86_400_000
FIRST_MS = 1_704_067_200_000  # 2024-01-01
# Prices that no short decimal is equal to.
CLOSES = 100 + np.sqrt(np.arange(60.0))
BARS = Columns.of(
    FIRST_MS + DAY_MS * np.arange(60), CLOSES, CLOSES + 1, CLOSES - 1, CLOSES, np.arange(60.0) / 3
)
ONES = np.ones(12_000)
# More than a pipe holds.
LONG = Columns.of(FIRST_MS - DAY_MS * np.arange(12_000)[::-1], ONES, ONES, ONES, ONES, ONES)
SERIES = {"AAPL": BARS, "LONG": LONG}


def provenance() -> provenance_pb2.Provenance:
    return provenance_pb2.Provenance(
        source="sim", as_of=Timestamp(seconds=1_709_200_000), cache=provenance_pb2.CACHE_STATUS_MISS
    )


def header(symbol: str) -> series_pb2.BarSeries:
    made = series_pb2.BarSeries(
        symbol=symbol,
        interval="1d",
        adjustment=series_pb2.ADJUSTMENT_SPLITS,
        version=series_pb2.SeriesVersion(epoch=1, revision=7),
        currency="USD",
        provenance=provenance(),
    )
    gap = made.coverage.gaps.add(reason=series_pb2.GAP_REASON_PROVIDER_MISSING, missing_bars=1)
    gap.start.FromMilliseconds(FIRST_MS + 10 * DAY_MS)
    gap.end.FromMilliseconds(FIRST_MS + 11 * DAY_MS)
    return made


def chosen(request: Any) -> Columns:
    """The bars that a request asks for: all of its range, else the newest, 500 where it does not say."""
    if request.symbol not in SERIES:
        raise symbol_not_found(request.symbol)
    bars, span = SERIES[request.symbol], request.range
    limit = None if request.HasField("range") else request.limit or 500
    ends = {
        f"{end}_ms": getattr(span, end).ToMilliseconds() if span.HasField(end) else None
        for end in ("start", "end")
    }
    return bars[bars.range_slice(**ends, limit=limit)]


class Price:
    """Knows AAPL, of 60 days, and LONG, of 12,000; keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []

    async def BatchGetQuotes(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        response = price_pb.BatchGetQuotesResponse()
        for symbol in request.symbols:
            result = response.results.add(symbol=symbol)
            if symbol == "AAPL":
                result.quote.CopyFrom(
                    quote_pb2.Quote(
                        symbol=symbol,
                        price=189.97999572753906,
                        currency="USD",
                        price_precision=2,
                        previous_close=188.0,
                        day_low=187.25,
                        day_high=191.5,
                        day_volume=123_456_789.0,
                        market_state=quote_pb2.MARKET_STATE_REGULAR,
                        provenance=provenance(),
                    )
                )
            else:
                result.error.CopyFrom(to_status(symbol_not_found(symbol)))
        return response

    async def GetBars(self, request: Any, context: Any) -> bytes:
        self.requests.append(request)
        page = wire.series_parts(header(request.symbol), chosen(request))
        return wire.joined(wire.message_parts(price_pb.GetBarsResponse(total_bars=60), "series", page))

    async def StreamBars(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        bars = chosen(request)
        yield price_pb.StreamBarsResponse(header=header(request.symbol))
        for rows in (slice(0, 25), slice(25, None)):
            empty = price_pb.StreamBarsResponse()
            yield wire.joined(wire.message_parts(empty, "columns", wire.columns_parts(bars[rows])))

    async def SearchInstruments(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return price_pb.SearchInstrumentsResponse()


class Indicators:
    """Knows ma (with matype), macd (with two outputs) and long (needs more bars); rejects all else."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def ListIndicators(self, request: Any, context: Any) -> Any:
        response = indicators_pb.ListIndicatorsResponse(engine="TA-Lib 0.8.2")
        row = response.indicators.add(name="ma", display_name="Moving average", default_lookback=29)
        row.parameters.add(name="timeperiod", type=indicators_pb.PARAMETER_TYPE_INTEGER, default_value=30)
        kinds = row.parameters.add(name="matype", type=indicators_pb.PARAMETER_TYPE_CHOICE)
        kinds.choices.add(value=0, name="SMA")
        kinds.choices.add(value=1, name="EMA")
        row.outputs.add(name="real")
        row.variants.add(name="talib")
        return response

    async def ComputeIndicators(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        frame = indicators_pb.IndicatorFrame(
            symbol=request.symbol,
            interval=request.interval,
            version=series_pb2.SeriesVersion(epoch=1, revision=7),
            open_time_ms=BARS.open_time_ms[:4],
            provenance=provenance(),
            last_is_final=True,
        )
        for at, spec in enumerate(request.specs):
            if spec.name == "long":
                too_few = PreconditionFailed(Reason.TOO_FEW_BARS, "4 bars, and 9 are needed")
                frame.results.add(id=spec.id, name="long", variant="talib", status=to_status(too_few))
                continue
            if spec.name not in ("ma", "macd"):
                raise InvalidRequest([Violation(f"specs[{at}].name", f"{spec.name!r} is no indicator")])
            result = frame.results.add(id=spec.id, name=spec.name, variant="talib", params=spec.params)
            for name in ("real",) if spec.name == "ma" else ("macd", "macdsignal"):
                result.outputs.add(
                    name=name, first_index=1, values=[1 / 3, 0.0, 2 / 3], undefined_indexes=[2]
                )
        return indicators_pb.ComputeIndicatorsResponse(frame=frame)


class Ingest:
    """Keeps what is written, breaks off after `breaks_after` batches, and refuses one with a close of
    `fails_on`; its job has two chunks."""

    def __init__(self) -> None:
        self.breaks_after = 1000
        self.fails_on = 0.0
        self.batches: dict[str, list[ingest_pb.BarBatch]] = {}
        self.requests: list[Any] = []

    async def WriteBars(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        written: list[ingest_pb.BarBatch] = []
        async for request in requests:
            if request.HasField("header"):
                written = self.batches.setdefault(request.header.idempotency_key, [])
                rows = sum(len(batch.columns.close) for batch in written)
                counts = jobs_pb2.RowCounts(sent=rows, inserted=rows)
                ready = ingest_pb.WriteBarsReady(next_sequence=len(written) + 1, committed=counts)
                yield ingest_pb.WriteBarsResponse(ready=ready)
                continue
            batch = request.batch
            assert batch.sequence == len(written) + 1
            if len(written) == self.breaks_after:
                raise ConnectionResetError
            if self.fails_on in batch.columns.close:
                raise PreconditionFailed(Reason.OUT_OF_SEQUENCE, "no such batch")
            written.append(batch)
            rows = len(batch.columns.close)
            ack = ingest_pb.WriteBarsAck(sequence=batch.sequence, rows=jobs_pb2.RowCounts(sent=rows))
            for row, close in enumerate(batch.columns.close):
                if not close >= 0:
                    ack.rows.rejected += 1
                    ack.rejected.add(
                        row=row, reason=ingest_pb.REJECT_REASON_NOT_FINITE, detail="close is nan"
                    )
            ack.rows.inserted = rows - ack.rows.rejected
            ack.version.epoch, ack.version.revision = 1, batch.sequence
            yield ingest_pb.WriteBarsResponse(ack=ack)

    async def CreateBackfill(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return ingest_pb.CreateBackfillResponse(job=_job(0, request.symbol_list.symbols))

    async def DeleteBars(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        version = series_pb2.SeriesVersion(epoch=1 if request.dry_run else 2, revision=8)
        first, last = timestamp(1_704_067_200_000), timestamp(1_704_153_600_000)
        return ingest_pb.DeleteBarsResponse(
            deleted_bars=2, first_open_time=first, last_open_time=last, version=version
        )

    async def ResumeUpstream(self, request: Any, context: Any) -> Any:
        return ingest_pb.ResumeUpstreamResponse(providers=[ingest_pb.ProviderStatus(provider="sim")])

    async def ListJobs(self, request: Any, context: Any) -> Any:
        symbols = ["AAPL", "MSFT", "SPY", "BTC-USD", "EURUSD=X"]
        return ingest_pb.ListJobsResponse(jobs=[_job(2, symbols)])

    async def ListRejectedBars(self, request: Any, context: Any) -> Any:
        page = ingest_pb.ListRejectedBarsResponse()
        page.bars.add(
            symbol="AAPL", interval="1d", reason=ingest_pb.REJECT_REASON_NEGATIVE, detail="close is -1"
        )
        return page

    async def WatchJob(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for done in range(3):
            yield ingest_pb.WatchJobResponse(job=_job(done, ["AAPL"]))


def _job(done: int, symbols: Any) -> jobs_pb2.Job:
    state = jobs_pb2.JOB_STATE_SUCCEEDED if done == 2 else jobs_pb2.JOB_STATE_RUNNING
    return jobs_pb2.Job(
        id="682f399cbe0e45f2865f0d4bb3e803e9",
        state=state,
        symbols=symbols,
        intervals=["1d"],
        chunks_total=2,
        chunks_done=done,
        rows=jobs_pb2.RowCounts(sent=100 * done, inserted=100 * done),
    )


@dataclass(frozen=True)
class Services:
    """The running services and their targets."""

    price: Price
    indicators: Indicators
    ingest: Ingest
    targets: dict[str, str]


@contextmanager
def serving(*parts: Service, settings: ServerSettings | None = None) -> Iterator[list[str]]:
    """The targets of the services, each on a port, on a loop in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = [Server(settings or ServerSettings(), [part]) for part in parts]
    try:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield [f"127.0.0.1:{server.port}" for server in servers]
    finally:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def services() -> Iterator[Services]:
    """The three services."""
    price, indicators, ingest = Price(), Indicators(), Ingest()
    with serving(
        Service(price_pb.DESCRIPTOR.services_by_name["PriceService"], price),
        Service(indicators_pb.DESCRIPTOR.services_by_name["IndicatorService"], indicators),
        Service(ingest_pb.DESCRIPTOR.services_by_name["IngestService"], ingest),
    ) as targets:
        named = dict(zip(("price", "indicators", "ingest"), targets, strict=True))
        yield Services(price, indicators, ingest, named)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command printed and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The document; services in this process may log beside it."""
        (document,) = (line for line in self.stdout.splitlines() if line.startswith("{"))
        return json.loads(document)


@pytest.fixture
def finstage(
    services: Services, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """The command, called with arguments, on these services."""
    for name, target in services.targets.items():
        monkeypatch.setenv(f"FINSTAGE_{name.upper()}_TARGET", target)

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def bars() -> Columns:
    """What the price service has."""
    return BARS


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_ports() -> list[int]:
    """Seven ports that nothing listens on."""
    probes = [socket.socket() for _ in range(7)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports

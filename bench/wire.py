"""Ways to send history and to read upstream replies: 10,000 bars end to end, 2,500 bars of upstream JSON.

History goes from NumPy arrays in a server process (grpc.aio on uvloop) to NumPy arrays here, over loopback:
as row messages, as packed columns by `extend`, assembled from the arrays' bytes as in the services
(libs/market/finstage_market/wire.py), and by Arrow Flight, the limit, where pyarrow is installed.

JSON is a reply of the local market, read by json and pandas, and by ingest's parser.
"""

import asyncio
import contextlib
import importlib.util
import json
import multiprocessing
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import grpc
import numpy as np
import pandas as pd
import uvloop
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import Message

from bench import report
from bench.report import sized
from finstage.market.v1 import series_pb2
from finstage_market import wire
from finstage_market.columns import VALUES, Columns
from services.ingest.providers.yahoo_chart import CLOSE, Chart, read_chart
from sim.server import start

BARS = sized(10_000, 1_000)
NAMES = ("open_time_ms", *VALUES)
SERVICE = "bench.Wire"


def sample() -> Columns:
    """Return a random walk of minutes."""
    walk = 100 + np.cumsum(np.random.default_rng(7).normal(0, 0.1, BARS))
    times = 1_700_000_000_000 + 60_000 * np.arange(BARS)
    return Columns.of(times, walk, walk + 0.2, walk - 0.2, walk + 0.1, np.arange(BARS) * 10.0)


def row_messages() -> type[Message]:
    """Make classes for bars as one message each, which the contract does not have."""
    timestamp = timestamp_pb2.Timestamp.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="bench/rows.proto", package="bench", syntax="proto3", dependency=[timestamp.file.name]
    )
    bar, rows = file.message_type.add(name="Bar"), file.message_type.add(name="Rows")
    bar.field.add(
        name="open_time",
        number=1,
        label="LABEL_OPTIONAL",
        type="TYPE_MESSAGE",
        type_name=f".{timestamp.full_name}",
    )
    for number, name in enumerate(VALUES, 2):
        bar.field.add(name=name, number=number, label="LABEL_OPTIONAL", type="TYPE_DOUBLE")
    rows.field.add(name="bars", number=1, label="LABEL_REPEATED", type="TYPE_MESSAGE", type_name=".bench.Bar")
    descriptor_pool.Default().Add(file)
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("bench.Rows"))


ROWS: Any = row_messages()


def rows_to_wire(columns: Columns) -> bytes:
    message = ROWS()
    for ms, *prices in zip(*(getattr(columns, name).tolist() for name in NAMES), strict=True):
        bar = message.bars.add(**dict(zip(VALUES, prices, strict=True)))
        bar.open_time.seconds, bar.open_time.nanos = ms // 1000, ms % 1000 * 1_000_000
    return bytes(message.SerializeToString())


def rows_from_wire(data: bytes) -> Columns:
    bars = ROWS.FromString(data).bars
    times = [bar.open_time.seconds * 1000 + bar.open_time.nanos // 1_000_000 for bar in bars]
    return Columns.of(times, *([getattr(bar, name) for bar in bars] for name in VALUES))


def extend_to_wire(columns: Columns) -> bytes:
    message = series_pb2.BarColumns()
    for name in NAMES:
        getattr(message, name).extend(getattr(columns, name))
    return message.SerializeToString()


def extend_from_wire(data: bytes) -> Columns:
    message = series_pb2.BarColumns.FromString(data)
    return Columns.of(*(np.array(getattr(message, name)) for name in NAMES))


WAYS: dict[str, tuple[Callable[[Columns], bytes], Callable[[bytes], Columns]]] = {
    "rows": (rows_to_wire, rows_from_wire),
    "extend": (extend_to_wire, extend_from_wire),
    "assembled": (lambda columns: wire.joined(wire.columns_parts(columns)), wire.columns_from_wire),
}


def serve(ready: Connection) -> None:
    """Run the server process: send its port, serve until the other end closes."""

    def handler(to_wire: Callable[[Columns], bytes], columns: Columns) -> Any:
        async def answer(_request: bytes, _context: Any) -> bytes:
            return to_wire(columns)

        return grpc.unary_unary_rpc_method_handler(answer)

    async def main() -> None:
        columns = sample()
        server = grpc.aio.server()
        handlers = {name: handler(to_wire, columns) for name, (to_wire, _) in WAYS.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready.send(port)
        with contextlib.suppress(EOFError):
            await asyncio.to_thread(ready.recv)
        await server.stop(None)

    uvloop.run(main())


def serve_flight(ready: Connection) -> None:
    """Run the same over Arrow Flight."""
    import pyarrow as pa
    from pyarrow import flight

    columns = sample()
    table = pa.table({name: getattr(columns, name) for name in NAMES})

    class Server(flight.FlightServerBase):  # type: ignore[misc]
        def do_get(self, _context: Any, _ticket: Any) -> Any:
            return flight.RecordBatchStream(table)

    with Server("grpc://127.0.0.1:0") as server:
        ready.send(server.port)
        with contextlib.suppress(EOFError):
            ready.recv()


@contextlib.contextmanager
def process(target: Callable[[Connection], None]) -> Iterator[int]:
    """Run `target` in a process of its own; yield its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    running = spawn.Process(target=target, args=(theirs,))
    running.start()
    theirs.close()
    try:
        yield int(ours.recv())
    finally:
        ours.close()
        running.join(10)


@contextlib.contextmanager
def history() -> Iterator[dict[str, Callable[[], Columns]]]:
    """Return each way to read the history, by name."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(process(serve))
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))

        def reader(name: str, from_wire: Callable[[bytes], Columns]) -> Callable[[], Columns]:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{name}")
            return lambda: from_wire(call(b""))

        ways = {name: reader(name, from_wire) for name, (_, from_wire) in WAYS.items()}
        if importlib.util.find_spec("pyarrow"):
            from pyarrow import flight

            client = stack.enter_context(
                flight.connect(f"grpc://127.0.0.1:{stack.enter_context(process(serve_flight))}")
            )

            def by_flight() -> Columns:
                table = client.do_get(flight.Ticket(b"")).read_all()
                return Columns.of(*(table[name].to_numpy() for name in NAMES))

            ways["flight"] = by_flight
        yield ways


def upstream_json() -> bytes:
    """Return a reply of the local market with ten years of days: about 2,500 bars."""
    with start() as sim:
        url = f"{sim.url}/v8/finance/chart/AAPL?interval=1d&range=10y&events=div%7Csplit"
        with urllib.request.urlopen(url) as reply:
            return bytes(reply.read())


def by_pandas(body: bytes) -> pd.DataFrame:
    """Parse as most programs do."""
    (result,) = json.loads(body)["chart"]["result"]
    index = pd.to_datetime(result["timestamp"], unit="s", utc=True)
    return pd.DataFrame(result["indicators"]["quote"][0], index=index, columns=list(VALUES))


def by_parser(body: bytes) -> Chart:
    """Parse as ingest does."""
    chart = read_chart(200, body)
    assert isinstance(chart, Chart)
    return chart


def seconds(case: Callable[[], Any]) -> Callable[[], float]:
    """Return the median time of a few runs; the first of them finds the caches filled by the other cases."""

    def run() -> float:
        times = []
        for _ in range(sized(7, 1)):
            begun = time.perf_counter()
            case()
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    return run


def main() -> None:
    expected = sample()
    with history() as ways:
        for name, way in ways.items():
            got = way()
            assert all(np.array_equal(getattr(got, n), getattr(expected, n)) for n in NAMES), name
        histories = report.interleaved({name: seconds(way) for name, way in ways.items()}, rounds=9)
    body = upstream_json()
    count = len(by_parser(body).times_ms)
    # The parser removes float32 noise from prices.
    closes = by_parser(body).values[CLOSE], by_pandas(body)["close"].to_numpy()
    assert np.allclose(*closes, rtol=1e-6, equal_nan=True)
    parses = report.interleaved(
        {"pandas": seconds(lambda: by_pandas(body)), "parser": seconds(lambda: by_parser(body))}, rounds=9
    )

    def row(
        name: str, samples: report.Samples, against: str = "", base: report.Samples | None = None
    ) -> report.Row:
        return report.row(name, samples, "ms", scale=1e3, against=against or None, base=base)

    rows = histories["rows"]
    told = [row(f"{BARS:,} bars, row messages", rows)]
    told += [row(f"{BARS:,} bars, packed by extend", histories["extend"], "row messages", rows)]
    told += [row(f"{BARS:,} bars, assembled (ours)", histories["assembled"], "row messages", rows)]
    if "flight" in histories:
        told += [row(f"{BARS:,} bars, Arrow Flight", histories["flight"], "row messages", rows)]
        told += [
            row(
                f"{BARS:,} bars, ours against the limit",
                histories["assembled"],
                "Arrow Flight",
                histories["flight"],
            )
        ]
    told += [row(f"{count:,} bars of JSON, json and pandas", parses["pandas"])]
    told += [
        row(f"{count:,} bars of JSON, ingest's parser", parses["parser"], "json and pandas", parses["pandas"])
    ]
    packages = ["grpcio", "protobuf", "numpy", "pandas", "orjson"]
    packages += ["pyarrow"] if "flight" in histories else []
    notes = [
        report.versions(*packages),
        "times end to end: the server's work, loopback, and the client's arrays",
    ]
    report.write("wire", told, notes=notes)


if __name__ == "__main__":
    main()

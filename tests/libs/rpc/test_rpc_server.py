"""A server's life: start, health, reflection, HTTP, stop. The process itself runs in served.py."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import FinstageError, Reason, Unavailable
from finstage_rpc.server import Server, StartError
from finstage_rpc.settings import ServerSettings
from tests.libs.rpc.quick import Quick

REPO = Path(__file__).resolve().parents[3]
PRICE = "finstage.price.v1.PriceService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def get(port: int, path: str, **headers: str) -> requests.Response:
    return await asyncio.to_thread(requests.get, f"http://127.0.0.1:{port}{path}", headers=headers, timeout=5)


# Health


async def health_of(channel: Any, service: str) -> Any:
    stub = health_pb2_grpc.HealthStub(channel.grpc)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_health_reports_each_service_and_the_whole(start: Any, connect: Any) -> None:
    channel = connect(await start(Quick()))
    assert [await health_of(channel, name) for name in ("", PRICE)] == [SERVING, SERVING]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health_of(channel, "no.such.Service")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_lists_the_services(start: Any, connect: Any) -> None:
    server = await start(Quick())
    stub = health_pb2_grpc.HealthStub(connect(server).grpc)
    listed = (await stub.List(health_pb2.HealthListRequest())).statuses
    assert {name: check.status for name, check in listed.items()} == {"": SERVING, PRICE: SERVING}
    stopping = asyncio.create_task(server.stop(wait_s=0.2))
    await asyncio.sleep(0.05)
    listed = (await stub.List(health_pb2.HealthListRequest())).statuses
    assert {name: check.status for name, check in listed.items()} == {"": NOT_SERVING, PRICE: NOT_SERVING}
    await stopping


async def test_a_health_watcher_sees_the_server_stop(start: Any, connect: Any) -> None:
    server = await start(Quick())
    watch = health_pb2_grpc.HealthStub(connect(server).grpc).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    stopping = asyncio.create_task(server.stop(wait_s=0.05))
    assert (await watch.read()).status == NOT_SERVING
    await asyncio.wait_for(stopping, 5)


# HTTP


async def idle(server: Server) -> None:
    """Wait until the server has ended and counted all calls: a client may see the end earlier."""
    while True:
        if server.registry.get_sample_value("finstage_calls_in_flight") == 0:
            return
        await asyncio.sleep(0.001)


async def test_metrics_have_the_conventional_names_and_count(start: Any, connect: Any) -> None:
    server = await start(Quick())
    channel = connect(server)
    await channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(symbol="A"), bytes)
    with pytest.raises(FinstageError):
        await channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)
    assert len([m async for m in channel.stream(f"/{PRICE}/StreamBars", b"", bytes)]) == 3

    await idle(server)
    page = await get(server.metrics_port, "/metrics")
    samples = {
        (s.name, s.labels["grpc_type"], s.labels["grpc_method"], s.labels.get("grpc_code", "")): s.value
        for family in text_string_to_metric_families(page.text)
        for s in family.samples
        if s.labels.get("grpc_service") == PRICE and "le" not in s.labels
    }
    unary, stream = ("unary", "GetQuote"), ("server_stream", "StreamBars")
    assert samples["grpc_server_started_total", *unary, ""] == 2
    assert samples["grpc_server_handled_total", *unary, "OK"] == 1
    assert samples["grpc_server_handled_total", *unary, "UNAVAILABLE"] == 1
    assert samples["grpc_server_handling_seconds_count", *unary, ""] == 2
    assert samples["grpc_server_msg_received_total", *unary, ""] == 2
    assert samples["grpc_server_msg_sent_total", *unary, ""] == 1
    assert samples["grpc_server_msg_sent_total", *stream, ""] == 3
    assert samples["grpc_server_handled_total", *stream, "OK"] == 1
    assert samples["grpc_server_started_total", "server_stream", "WatchBars", ""] == 0


async def test_metrics_include_memory_and_calls_in_flight(start: Any) -> None:
    page = (await get((await start(Quick())).metrics_port, "/metrics")).text
    values = {s.name: s.value for f in text_string_to_metric_families(page) for s in f.samples}
    assert values["finstage_resident_memory_bytes"] > 10e6
    assert values["finstage_calls_in_flight"] == 0


async def test_healthz_and_readyz_say_whether_it_lives_and_whether_it_takes_calls(start: Any) -> None:
    server = await start(Quick())
    for path in ("/healthz", "/readyz"):
        reply = await get(server.metrics_port, path)
        assert (reply.status_code, reply.text) == (200, "ok\n")
    stopping = asyncio.create_task(server.stop(wait_s=0.5))
    await asyncio.sleep(0)
    assert (await get(server.metrics_port, "/readyz")).status_code == 503
    assert (await get(server.metrics_port, "/healthz")).status_code == 200
    assert (await get(server.metrics_port, "/elsewhere")).status_code == 404
    await stopping


# Starts that fail


@pytest.mark.parametrize("setting", ["listen", "metrics_listen"])
async def test_a_port_in_use_is_one_line_that_names_the_setting(start: Any, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(StartError) as raised:
            await start(Quick(), **{setting: address})
    assert str(raised.value) == (
        f"FINSTAGE_{setting.upper()}: {address} cannot be bound: Address already in use"
    )


async def test_a_second_server_cannot_share_a_port(start: Any) -> None:
    first = await start(Quick())
    with pytest.raises(StartError, match="already in use"):
        await start(Quick(), listen=f"127.0.0.1:{first.port}")


@pytest.mark.parametrize("address", ["no.such.host.invalid:0", "192.0.2.1:0"])
async def test_an_address_of_another_machine_is_one_line(start: Any, address: str) -> None:
    with pytest.raises(StartError, match=r"FINSTAGE_LISTEN: .* cannot be bound: ") as raised:
        await start(Quick(), listen=address)
    assert "\n" not in str(raised.value)


async def test_an_invalid_certificate_file_is_one_line(start: Any, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(StartError, match="FINSTAGE_TLS_CERT"):
        await start(Quick(), tls_cert=tmp_path / "x.pem", tls_key=tmp_path / "x.pem")


async def test_stopping_twice_or_before_starting_does_nothing(start: Any) -> None:
    await Server(ServerSettings(), []).stop()
    server = await start(Quick())
    await server.stop()
    await server.stop()


# The process


@pytest.fixture
async def process() -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Run served.py with the given settings; end it if the test has not."""
    started: list[Process] = []

    async def begin(**settings: str) -> Process:
        paths = os.pathsep.join(str(REPO / folder) for folder in (".", "protos"))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths}
        environment |= {f"FINSTAGE_{name.upper()}": value for name, value in settings.items()}
        script = str(Path(__file__).with_name("served.py"))
        running = await asyncio.create_subprocess_exec(
            sys.executable, script, stdout=PIPE, stderr=PIPE, env=environment
        )
        started.append(running)
        return running

    yield begin
    for running in started:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def ports(running: Process) -> tuple[int, int]:
    assert running.stdout is not None
    line = await asyncio.wait_for(running.stdout.readline(), 20)
    port, metrics_port = line.split()
    return int(port), int(metrics_port)


async def draining(metrics_port: int) -> None:
    """Wait until the process reports that it takes no calls."""
    while True:
        if (await get(metrics_port, "/readyz")).status_code == 503:
            return
        await asyncio.sleep(0.01)


async def test_on_sigterm_calls_finish_watches_end_as_unavailable_and_the_process_exits(
    process: Any, connect: Any
) -> None:
    running = await process(drain_wait_s="2", drain_grace_s="20", log_format="json")
    port, metrics_port = await ports(running)
    channel = connect(f"127.0.0.1:{port}")
    watch = channel.stream(f"/{PRICE}/WatchQuotes", pb.WatchQuotesRequest(), pb.WatchQuotesResponse)
    await anext(watch)
    slow = asyncio.create_task(
        channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(symbol="2.5"), pb.GetQuoteResponse)
    )
    await running.stdout.readline()

    running.send_signal(signal.SIGTERM)
    await draining(metrics_port)
    assert await health_of(channel, "") == NOT_SERVING
    assert (await get(metrics_port, "/healthz")).status_code == 200
    # Calls are still accepted during the wait, because clients may not know yet.
    await channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(symbol="0"), pb.GetQuoteResponse)

    with pytest.raises(Unavailable) as raised:
        await anext(watch)
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
    assert raised.value.message == "the server is shutting down"
    assert (await slow).quote.price == 1.0
    _, err = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 0
    events = [json.loads(line) for line in err.splitlines()]
    assert [e["event"] for e in events] == ["serving", "draining", "slow_call", "stopped"]


async def test_calls_that_outlast_the_grace_end_as_unavailable(process: Any, connect: Any) -> None:
    running = await process(drain_wait_s="0", drain_grace_s="0.2")
    channel = connect(f"127.0.0.1:{(await ports(running))[0]}")
    call = asyncio.create_task(
        channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(symbol="1000"), pb.GetQuoteResponse)
    )
    await running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    with pytest.raises(Unavailable, match="the server is shutting down"):
        await call
    assert await asyncio.wait_for(running.wait(), 20) == 0


async def test_ctrl_c_stops_without_the_wait(process: Any) -> None:
    running = await process(drain_wait_s="600")
    await ports(running)
    running.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(running.wait(), 20) == 0


async def test_a_second_signal_ends_the_process_at_once(process: Any) -> None:
    running = await process(drain_wait_s="600")
    _, metrics_port = await ports(running)
    running.send_signal(signal.SIGTERM)
    await draining(metrics_port)
    running.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running.wait(), 20) == -signal.SIGTERM


async def test_a_wrong_setting_stops_the_process_with_its_line_alone(process: Any) -> None:
    running = await process(listen="50051")
    _, err = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 2
    assert err.decode().count("\n") == 1
    assert err.startswith(b"FINSTAGE_LISTEN: '50051' was given; ")


async def test_a_port_in_use_stops_the_process_with_its_line_alone(process: Any, start: Any) -> None:
    first = await start(Quick())
    running = await process(listen=f"127.0.0.1:{first.port}")
    _, err = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 1
    assert err.decode() == (
        f"FINSTAGE_LISTEN: 127.0.0.1:{first.port} cannot be bound: Address already in use\n"
    )

"""Logs: events on stderr, with their call."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import FinstageError
from finstage_rpc import logs

METHOD = "/finstage.price.v1.PriceService/GetQuote"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_is_one_object_a_line_on_stderr_with_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", log_format="json")
    structlog.get_logger().info("cache_hit", key="a")
    structlog.get_logger().debug("too_small")
    (event,) = events(capsys)
    assert (event["event"], event["level"], event["key"]) == ("cache_hit", "info", "a")
    assert event["timestamp"].endswith("Z")


def test_events_of_the_standard_library_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", log_format="json")
    logging.getLogger("sqlalchemy.pool").warning("gone %s", "away")
    logging.getLogger("asyncio").debug("too small")
    (event,) = events(capsys)
    assert (event["event"], event["level"], event["logger"]) == ("gone away", "warning", "sqlalchemy.pool")


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="WARNING", log_format="console")
    structlog.get_logger().warning("rate_limit_hit", provider="yahoo")
    text = capsys.readouterr().err
    assert "rate_limit_hit" in text
    assert "provider=yahoo" in text


async def test_events_within_a_call_name_it_and_its_request_and_an_internal_error_its_traceback(
    capsys: pytest.CaptureFixture[str], start: Any, connect: Any
) -> None:
    class Failing:
        async def GetQuote(self, request: Any, context: Any) -> Any:
            password = "hunter2"
            structlog.get_logger().info("asked", length=len(password))
            return {}["missing"]

    logs.configure(level="INFO", log_format="json")
    server = await start(Failing())
    channel = connect(server)
    with pytest.raises(FinstageError) as raised:
        await channel.call(METHOD, pb.GetQuoteRequest(), bytes)
    await server.stop()  # before pytest closes what it logs to
    found = {event["event"]: event for event in events(capsys)}
    asked, failed = found["asked"], found["internal_error"]
    assert asked["method"] == failed["method"] == METHOD
    assert asked["request_id"] == failed["request_id"]
    assert failed["error_id"] in raised.value.message
    assert failed["exception"][0]["exc_type"] == "KeyError"
    assert "hunter2" not in json.dumps(failed["exception"])
    assert "request_id" not in found["serving"] | found["stopped"]

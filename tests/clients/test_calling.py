"""How the methods take their arguments: nothing misspelt is swallowed, nothing given is ignored."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from finstage_client import AsyncClient, Client, IndicatorSpec, InvalidRequest

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("quote", ("AAPL",)),
    ("quotes", (["AAPL"],)),
    ("bars", ("AAPL",)),
    ("compute", ("AAPL", ["ma"])),
    ("search", ("apple",)),
    ("indicators", ()),
    ("backfill", (["AAPL"],)),
    ("jobs", ()),
    ("rejected_bars", ()),
]


@pytest.fixture
def client(services: Any) -> Any:
    with Client(**services.targets) as made:
        yield made


@pytest.mark.parametrize(("method", "arguments"), CALLS)
@pytest.mark.parametrize("option", ["strat", "period", "limits", "request_id"])
async def test_an_unknown_option_is_a_type_error(
    client: Client, services: Any, method: str, arguments: tuple[Any, ...], option: str
) -> None:
    with pytest.raises(TypeError, match=option):
        getattr(client, method)(*arguments, **{option: 1})
    async with AsyncClient(**services.targets) as waiting:
        with pytest.raises(TypeError, match=option):
            getattr(waiting, method)(*arguments, **{option: 1})


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            twin = getattr(AsyncClient, name)
            assert inspect.signature(twin).parameters == inspect.signature(method).parameters, name


def test_one_text_is_one_item(client: Client, services: Any) -> None:
    assert [result.symbol for result in client.quotes("AAPL")] == ["AAPL"]
    client.backfill("AAPL", "1d")
    (asked,) = services.ingest.requests
    assert (list(asked.symbol_list.symbols), list(asked.intervals)) == (["AAPL"], ["1d"])
    assert list(client.compute("AAPL", "ma").columns) == ["ma"]
    assert list(client.compute("AAPL", IndicatorSpec("ma")).columns) == ["ma"]
    client.search("spy", types="etf")
    assert len(services.price.requests[-1].types) == 1


def test_without_a_range_the_newest_500_are_meant_and_the_whole_series_is_asked_for(
    client: Client, services: Any
) -> None:
    assert len(client.bars("LONG")) == 500
    assert services.price.requests[-1].WhichOneof("bars") is None
    assert len(client.bars("LONG", limit=501)) == 501
    assert len(client.bars("LONG", limit="all")) == 12_000
    client.compute("AAPL", "ma")
    assert services.indicators.requests[-1].WhichOneof("bars") is None
    client.compute("AAPL", "ma", limit="all")
    assert services.indicators.requests[-1].WhichOneof("bars") == "range"


def test_a_range_is_sent_as_one_message(client: Client, services: Any) -> None:
    found = client.bars("AAPL", start="2024-01-11", end="2024-01-21T00:00Z")
    assert len(found) == 10
    sent = services.price.requests[-1].range
    assert (sent.start.ToJsonString(), sent.end.ToJsonString()) == (
        "2024-01-11T00:00:00Z",
        "2024-01-21T00:00:00Z",
    )
    assert len(client.bars("AAPL", start="2024-02-25")) == 5
    assert not services.price.requests[-1].range.HasField("end")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda c: c.bars("AAPL", start="2024-01-01", limit=5), "limit: give either limit, or start and end"),
        (lambda c: c.bars("AAPL", limit=0), "limit: 0 was given; give 1 or more, or 'all'"),
        (lambda c: c.bars("AAPL", limit=2.5), "limit: 2.5 is neither a whole number nor 'all'"),
        (lambda c: c.bars("AAPL", limit="every"), "limit: 'every' is neither a whole number nor 'all'"),
        (lambda c: c.bars("AAPL", start=1_767_225_600), "start: 1767225600 is a number"),
        (lambda c: c.bars("AAPL", "1M"), "interval: '1M' is not supported; use 1m"),
        (lambda c: c.bars("AAPL", adjustment="none"), "adjustment: 'none' is not supported; use splits, all"),
        (lambda c: c.compute("AAPL", "sma:x"), "indicators: indicator 'sma:x'"),
        (lambda c: c.backfill(), "symbols: give either symbols or a universe"),
        (lambda c: c.backfill("AAPL", universe="majors"), "symbols: give either symbols or a universe"),
        (lambda c: c.backfill("AAPL", "2y"), "intervals: '2y' is not supported"),
        (lambda c: c.jobs(state="lost"), "state: 'lost' is not supported; use queued"),
    ],
)
def test_an_argument_that_is_wrong_is_named(client: Client, call: Callable[[Client], Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call(client)
    assert refused.value.message.startswith(why)


def test_a_backfill_carries_its_range_and_its_key(client: Client, services: Any) -> None:
    client.backfill(universe="majors", start="2015-01-01", idempotency_key="nightly")
    (asked,) = services.ingest.requests
    assert (asked.universe, asked.idempotency_key) == ("majors", "nightly")
    assert (asked.range.start.ToJsonString(), asked.range.HasField("end")) == ("2015-01-01T00:00:00Z", False)

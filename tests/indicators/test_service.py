"""The service over real gRPC, in front of a price over real gRPC."""

import asyncio
from typing import Any

import numpy as np
import pytest
import talib
from google.protobuf.duration_pb2 import Duration

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.columns import Columns
from finstage_market.errors import (
    InvalidRequest,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
    Unimplemented,
)
from finstage_market.statuses import reason_of
from finstage_market.times import timestamp
from services.indicators.catalogue import Catalogue

from .conftest import SERVICE, RecordedPrice, Running, running_service
from .series import many_bars, spec

pytestmark = pytest.mark.asyncio(loop_scope="module")
D1 = "1d"


def at(bars: Columns, row: int) -> Any:
    return timestamp(int(bars.open_time_ms[row]))


# --- ListIndicators -----------------------------------------------------------------------------------


async def listed(running: Running, **request: str) -> pb.ListIndicatorsResponse:
    return await running.channel.call(
        f"{SERVICE}/ListIndicators", pb.ListIndicatorsRequest(**request), pb.ListIndicatorsResponse
    )


async def test_the_catalogue_is_listed_whole_and_by_name(running: Running, catalogue: Catalogue) -> None:
    reply = await listed(running)
    names = [row.name for row in reply.indicators]
    assert names == sorted(names)
    assert len(names) == len(catalogue)
    library = talib.__ta_version__.decode().split()[0]
    assert reply.engine == f"TA-Lib {library} (ta-lib for Python {talib.__version__})"


async def test_the_catalogue_is_searched(running: Running) -> None:
    by_name = await listed(running, query="MACD", group="Momentum Indicators")
    assert [row.name for row in by_name.indicators] == ["macd", "macdext", "macdfix"]
    assert "kc" in [row.name for row in (await listed(running, query="keltner")).indicators]
    assert not (await listed(running, group="momentum indicators")).indicators


async def test_a_row_has_everything_that_a_client_needs(running: Running) -> None:
    [row] = [r for r in (await listed(running, query="bbands")).indicators if r.name == "bbands"]
    assert row.inputs == ["source"]
    assert [(p.name, p.type, p.default_value, p.min_value, p.max_value) for p in row.parameters] == [
        ("timeperiod", pb.PARAMETER_TYPE_INTEGER, 20, 2, 100_000),
        ("nbdevup", pb.PARAMETER_TYPE_REAL, 2, -3e37, 3e37),
        ("nbdevdn", pb.PARAMETER_TYPE_REAL, 2, -3e37, 3e37),
        ("matype", pb.PARAMETER_TYPE_CHOICE, 0, 0, 13),
    ]
    assert row.parameters[3].choices[1] == pb.ParameterChoice(value=1, name="EMA")
    assert [output.name for output in row.outputs] == ["upperband", "middleband", "lowerband"]
    assert row.default_lookback == 19
    assert row.indicator_class == pb.INDICATOR_CLASS_WINDOW
    assert row.variants[0].name == "talib"


# --- ComputeIndicators --------------------------------------------------------------------------------


async def test_many_indicators_come_from_one_read(running: Running, daily: Columns) -> None:
    specs = [spec("sma", params={"timeperiod": 20}), spec("rsi"), spec("macd", id="m"), spec("atr")]
    frame = await running.compute(symbol="qqq", specs=specs, limit=100)
    assert len(running.price.requests) == 1
    assert (frame.symbol, frame.interval, frame.adjustment) == ("QQQ", D1, series_pb2.ADJUSTMENT_SPLITS)
    assert frame.version == series_pb2.SeriesVersion(epoch=2, revision=7)
    assert frame.last_is_final
    assert frame.provenance.source == "sim"
    assert list(frame.open_time_ms) == daily.open_time_ms[-100:].tolist()
    assert [(r.id, r.name, r.variant) for r in frame.results] == [
        ("sma(timeperiod=20)", "sma", "talib"),
        ("rsi", "rsi", "standard"),
        ("m", "macd", "talib"),
        ("atr", "atr", "talib"),
    ]
    sma, rsi, macd, atr = frame.results
    assert list(sma.outputs[0].values) == talib.SMA(daily.close, 20)[-100:].tolist()
    assert list(rsi.outputs[0].values) == talib.RSI(daily.close)[-100:].tolist()
    assert [o.name for o in macd.outputs] == ["macd", "macdsignal", "macdhist"]
    for output, expected in zip(macd.outputs, talib.MACD(daily.close), strict=True):
        assert list(output.values) == expected[-100:].tolist()
    assert list(atr.outputs[0].values) == talib.ATR(daily.high, daily.low, daily.close)[-100:].tolist()


async def test_a_result_names_its_parameters_variant_and_lookback(running: Running) -> None:
    frame = await running.compute(
        symbol="QQQ",
        specs=[spec("macd", variant="independent", source=pb.PRICE_SOURCE_HL2), spec("adx")],
    )
    macd, adx = frame.results
    assert macd.variant == "independent"
    assert macd.params == {"fastperiod": 12, "slowperiod": 26, "signalperiod": 9}
    assert macd.source == pb.PRICE_SOURCE_HL2
    assert (macd.lookback, macd.bars_used) == (25, 502)
    assert [output.first_index for output in macd.outputs] == [23, 31, 31]  # of the newest 500
    assert macd.indicator_class == pb.INDICATOR_CLASS_DECAYING
    assert macd.HasField("status")
    assert macd.status.code == 0
    assert adx.source == pb.PRICE_SOURCE_UNSPECIFIED


async def test_the_value_of_a_bar_does_not_depend_on_the_range(running: Running, daily: Columns) -> None:
    """Every cut is equal to the last bit, also one that ends in the past."""
    specs = [spec("ema"), spec("obv"), spec("sar"), spec("ichimoku"), spec("maxindex")]
    first = timestamp(0)
    whole = await running.compute(symbol="QQQ", specs=specs, range=series_pb2.BarRange(start=first))
    assert len(whole.open_time_ms) == 502
    for request, rows in (
        ({"range": series_pb2.BarRange(start=at(daily, 200))}, slice(200, 502)),
        ({"range": series_pb2.BarRange(end=at(daily, 300))}, slice(0, 300)),
        ({"range": series_pb2.BarRange(start=at(daily, 10), end=at(daily, 290))}, slice(10, 290)),
        ({"limit": 7}, slice(495, 502)),
        ({}, slice(2, 502)),
    ):
        frame = await running.compute(symbol="QQQ", specs=specs, **request)
        assert frame.open_time_ms == whole.open_time_ms[rows]
        for ours, all_ours in zip(frame.results, whole.results, strict=True):
            assert ours.bars_used == rows.stop
            for output, values in zip(ours.outputs, all_ours.outputs, strict=True):
                start = rows.start + output.first_index
                assert start == max(rows.start, values.first_index)
                skipped = start - values.first_index
                assert output.values == values.values[skipped : rows.stop - values.first_index]
                assert output.first_index + len(output.values) == len(frame.open_time_ms)


async def test_a_range_without_bars_is_an_empty_axis(running: Running, daily: Columns) -> None:
    later = timestamp(int(daily.open_time_ms[-1]) + 10 * 86_400_000)
    frame = await running.compute(symbol="QQQ", specs=[spec("sma")], range=series_pb2.BarRange(start=later))
    assert not frame.open_time_ms
    assert frame.results[0].status.code == 0
    assert not frame.results[0].outputs[0].values


async def test_too_short_a_series_is_the_indicator_s_own_status(running: Running) -> None:
    """The other indicators are computed."""
    long = spec("sma", params={"timeperiod": 101})
    enough = spec("sma", params={"timeperiod": 100})
    frame = await running.compute(symbol="^GSPC", specs=[long, enough])
    failed, computed = frame.results
    assert failed.status.code == 9  # FAILED_PRECONDITION
    assert reason_of(failed.status) is Reason.TOO_FEW_BARS
    assert "100 bars" in failed.status.message
    assert (failed.lookback, failed.bars_used) == (100, 100)
    assert not failed.outputs
    assert computed.status.code == 0
    assert len(computed.outputs[0].values) == 1
    assert computed.outputs[0].first_index == 99


async def test_undefined_values_are_listed_in_the_answer(running: Running) -> None:
    """No NaN and no infinity is on the wire."""
    frame = await running.compute(symbol="QQQ", specs=[spec("acos"), spec("exp")], limit=3)
    for result in frame.results:
        assert result.status.code == 0
    acos, exp = (result.outputs[0] for result in frame.results)
    assert list(acos.values) == [0, 0, 0]
    assert list(acos.undefined_indexes) == [0, 1, 2]
    assert not exp.undefined_indexes


async def test_options_of_the_series_are_passed_on_to_price(running: Running, daily: Columns) -> None:
    await running.compute(
        symbol="QQQ",
        specs=[spec("sma")],
        adjustment=series_pb2.ADJUSTMENT_ALL,
        range=series_pb2.BarRange(end=at(daily, 400)),
        max_age=Duration(seconds=5),
        allow_stale=False,
        final_only=True,
    )
    [asked] = running.price.requests
    assert asked.adjustment == series_pb2.ADJUSTMENT_ALL
    assert asked.max_age == Duration(seconds=5)
    assert not asked.allow_stale
    assert asked.final_only
    assert asked.range.end == at(daily, 400)
    assert not asked.range.HasField("start")


async def test_the_forming_bar_is_marked(running: Running) -> None:
    running.price.last_is_final = False
    assert not (await running.compute(symbol="QQQ", specs=[spec("sma")])).last_is_final
    frame = await running.compute(symbol="QQQ", specs=[spec("sma")], final_only=True)
    assert frame.results[0].bars_used == 501


async def test_coverage_is_cut_to_the_range(running: Running, daily: Columns) -> None:
    whole = await running.compute(
        symbol="QQQ", specs=[spec("sma")], range=series_pb2.BarRange(start=timestamp(0))
    )
    assert whole.coverage.start == timestamp(0)
    assert len(whole.coverage.flags) == 1
    part = await running.compute(symbol="QQQ", specs=[spec("sma")], limit=10)
    assert part.coverage.start == at(daily, 492)
    assert part.coverage.end == whole.coverage.end
    assert not part.coverage.flags


async def test_the_session_uses_the_exchange_s_zone(catalogue: Catalogue, minutes: Columns) -> None:
    """If price does not know the zone, it is UTC."""
    typical = (minutes.high + minutes.low + minutes.close) / 3
    for zone, hours_ahead, sessions in (("", 0, 4), ("Asia/Tokyo", 9, 5)):
        price = RecordedPrice({"SPY": minutes}, time_zone=zone)
        async with running_service(price, catalogue) as running:
            asked = [spec("vwap", variant="session")]
            frame = await running.compute(
                symbol="SPY", specs=asked, range=series_pb2.BarRange(start=timestamp(0))
            )
        values = np.array(frame.results[0].outputs[0].values)
        days = (minutes.open_time_ms + hours_ahead * 3_600_000) // 86_400_000
        begun = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        assert len(begun) == sessions
        np.testing.assert_allclose(values[begun], typical[begun], rtol=1e-13)
        assert (np.abs(values - typical)[begun + 1] > 1e-9).all()


@pytest.mark.parametrize(
    ("request_", "field", "word"),
    [
        ({"symbol": "A B"}, "symbol", "1 to 32 characters"),
        ({"symbol": ""}, "symbol", "1 to 32 characters"),
        ({"interval": ""}, "interval", "1d, 1w"),
        ({"interval": "7h"}, "interval", "1d, 1w"),
        ({"adjustment": 9}, "adjustment", "ADJUSTMENT_SPLITS"),
        ({"limit": 0}, "limit", "1 to 50000"),
        ({"limit": 50_001}, "limit", "1 to 50000"),
        (
            {"range": series_pb2.BarRange(start=timestamp(10), end=timestamp(10))},
            "range.start",
            "before range.end",
        ),
        ({"max_age": Duration(seconds=-1)}, "max_age", "0 s to 604800 s"),
        ({"specs": []}, "specs", "1 to 100"),
        ({"specs": [spec("nosuch")]}, "specs[0].name", "ListIndicators"),
    ],
)
async def test_a_wrong_field_is_reported_before_price_is_called(
    running: Running, request_: dict[str, Any], field: str, word: str
) -> None:
    good: dict[str, Any] = {"symbol": "QQQ", "interval": D1, "specs": [spec("sma")]}
    message = pb.ComputeIndicatorsRequest(**(good | request_))
    with pytest.raises(InvalidRequest) as raised:
        await running.channel.call(f"{SERVICE}/ComputeIndicators", message, pb.ComputeIndicatorsResponse)
    [violation] = raised.value.violations
    assert violation.field == field
    assert word in violation.description
    assert not running.price.requests


async def test_all_wrong_fields_are_reported_together(running: Running) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await running.compute(symbol="?", limit=0, specs=[spec("nosuch"), spec("sma", variant="x")])
    assert {each.field for each in raised.value.violations} == {
        "symbol",
        "limit",
        "specs[0].name",
        "specs[1].variant",
    }


async def test_price_s_error_about_an_unknown_symbol_is_passed_on(running: Running) -> None:
    with pytest.raises(NotFound) as raised:
        await running.compute(symbol="NOSUCH", specs=[spec("sma")])
    assert raised.value.reason is Reason.SYMBOL_NOT_FOUND
    assert raised.value.resource_name == "NOSUCH"


async def test_price_s_errors_are_passed_on(running: Running) -> None:
    running.price.error = RateLimited(Reason.UPSTREAM_RATE_LIMITED, "wait", retry_after_s=7.0)
    with pytest.raises(RateLimited) as raised:
        await running.compute(symbol="QQQ", specs=[spec("sma")])
    assert raised.value.reason is Reason.UPSTREAM_RATE_LIMITED
    assert raised.value.retry_after_s == 7.0


async def test_calls_that_need_no_price_work_without_it(catalogue: Catalogue, daily: Columns) -> None:
    async with running_service(RecordedPrice({"QQQ": daily}), catalogue) as running:
        await running.price_server.stop()
        with pytest.raises(Unavailable) as raised:
            await running.compute(symbol="QQQ", specs=[spec("sma")])
        assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
        assert raised.value.retry_after_s
        [reply] = await batch(running, symbols=["QQQ"], specs=[spec("sma")])
        assert reply.error.code == 14
        assert (await listed(running)).indicators
        columns = series_pb2.BarColumns(open_time_ms=[1, 2, 3], close=[1, 2, 3])
        frame = await running.compute_on_bars(columns, spec("sma", params={"timeperiod": 2}))
        assert list(frame.results[0].outputs[0].values) == [1.5, 2.5]


async def test_a_silent_price_is_not_waited_for_forever(catalogue: Catalogue, daily: Columns) -> None:
    """This holds even without a deadline of the caller."""
    price = RecordedPrice({"QQQ": daily}, silent_s=60.0)
    async with running_service(price, catalogue, timeout_s=0.1) as running:
        with pytest.raises(Unavailable, match="price did not answer in time"):
            await running.compute(symbol="QQQ", specs=[spec("sma")])


async def test_invalid_bars_are_never_computed_with(catalogue: Catalogue, daily: Columns) -> None:
    """They would be an error of price, which we detect: INTERNAL."""
    b = daily[:50]
    bad = Columns.of(b.open_time_ms, b.open, b.high, b.low, [np.nan, *b.close[1:]], b.volume)
    async with running_service(RecordedPrice({"QQQ": bad}), catalogue) as running:
        with pytest.raises(Exception, match="internal error") as raised:
            await running.compute(symbol="QQQ", specs=[spec("sma")])
        assert getattr(raised.value, "reason", None) is Reason.INTERNAL


async def test_too_large_a_reply_is_an_error_that_says_what_to_ask_instead(catalogue: Catalogue) -> None:
    bars = many_bars(60_000)
    async with running_service(RecordedPrice({"BTC-USD": bars}), catalogue) as running:
        with pytest.raises(InvalidRequest, match="60000 bars; at most 50000") as raised:
            await running.compute(
                symbol="BTC-USD", specs=[spec("sma")], range=series_pb2.BarRange(start=timestamp(0))
            )
        assert raised.value.violations[0].field == "start"
        assert "1970-01-07T22:40:00Z or later" in raised.value.message
        frame = await running.compute(
            symbol="BTC-USD", specs=[spec("sma")], range=series_pb2.BarRange(start=timestamp(10_000 * 60_000))
        )
        assert len(frame.open_time_ms) == 50_000

        specs = [spec("macd"), spec("bbands"), spec("sma")]
        with pytest.raises(InvalidRequest, match=r"3\.1 MiB.*at most 49152 bars") as raised:
            await running.compute(symbol="BTC-USD", specs=specs, limit=50_000)
        assert raised.value.violations[0].field == "specs"
        frame = await running.compute(symbol="BTC-USD", specs=specs, limit=49_152)
        assert frame.ByteSize() < 4 * 2**20


# --- BatchComputeIndicators ---------------------------------------------------------------------------


async def batch(running: Running, **request: Any) -> list[pb.BatchComputeIndicatorsResponse]:
    message = pb.BatchComputeIndicatorsRequest(interval=D1, **request)
    method = f"{SERVICE}/BatchComputeIndicators"
    return [m async for m in running.channel.stream(method, message, pb.BatchComputeIndicatorsResponse)]


async def test_a_batch_answers_each_symbol_as_a_call_of_its_own_would(running: Running) -> None:
    symbols = ["QQQ", "NOSUCH", "qqq", "not a symbol", "^GSPC", "QQQ"]
    specs = [spec("sma"), spec("macd")]
    replies = await batch(running, symbols=symbols, specs=specs, limit=5)
    by_index = {reply.index: reply for reply in replies}
    assert sorted(by_index) == list(range(6))
    assert [by_index[i].symbol for i in range(6)] == symbols
    alone = await running.compute(symbol="QQQ", specs=specs, limit=5)
    for index in (0, 2, 5):
        assert by_index[index].frame == alone
    assert by_index[4].frame.symbol == "^GSPC"
    assert by_index[1].error.code == 5
    assert by_index[3].error.code == 3
    assert "not a symbol" in by_index[3].error.message


async def test_an_error_about_all_symbols_ends_the_batch(running: Running) -> None:
    for request, field in (
        ({"symbols": []}, "symbols"),
        ({"symbols": ["QQQ"] * 501}, "symbols"),
        ({"specs": [spec("nosuch")]}, "specs[0].name"),
        ({"limit": 0}, "limit"),
    ):
        with pytest.raises(InvalidRequest) as raised:
            await batch(running, **({"symbols": ["QQQ"], "specs": [spec("sma")]} | request))
        assert [each.field for each in raised.value.violations] == [field]


async def test_a_batch_reads_ahead_no_further_than_its_bound(running: Running) -> None:
    """A client that leaves after one reply of 400 has cost a few reads, not 400."""
    message = pb.BatchComputeIndicatorsRequest(
        interval=D1, symbols=["QQQ"] * 400, specs=[spec("macd"), spec("bbands")]
    )
    stream = running.channel.stream(
        f"{SERVICE}/BatchComputeIndicators", message, pb.BatchComputeIndicatorsResponse
    )
    async for _ in stream:
        break
    await stream.aclose()
    reads = -1
    while reads != len(running.price.requests):  # reads in progress end
        reads = len(running.price.requests)
        await asyncio.sleep(0.1)
    assert reads < 200


async def test_methods_of_later_releases_are_unimplemented(running: Running) -> None:
    message = pb.WatchIndicatorsRequest(symbol="QQQ", interval=D1, specs=[spec("sma")])
    with pytest.raises(Unimplemented):
        async for _ in running.channel.stream(
            f"{SERVICE}/WatchIndicators", message, pb.WatchIndicatorsResponse
        ):
            pass

"""ComputeOnBars over real gRPC: a client's own bars."""

import numpy as np
import pytest
import talib

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.columns import Columns
from finstage_market.errors import InvalidRequest

from .conftest import SERVICE, Running
from .series import as_message, flat, many_bars, spec

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_client_s_own_bars_are_computed_over(running: Running, daily: Columns) -> None:
    frame = await running.compute_on_bars(as_message(daily), spec("obv"), spec("adx"))
    assert list(frame.open_time_ms) == daily.open_time_ms.tolist()
    obv, adx = frame.results
    assert list(obv.outputs[0].values) == talib.OBV(daily.close, daily.volume).tolist()
    assert adx.outputs[0].first_index == 27
    assert list(adx.outputs[0].values) == talib.ADX(daily.high, daily.low, daily.close)[27:].tolist()
    assert (frame.symbol, frame.interval) == ("", "")
    assert not frame.HasField("version")
    assert not running.price.requests


async def test_one_series_is_not_read_as_two(running: Running, daily: Columns) -> None:
    """TA-Lib would compare the highs with the lows."""
    for name in ("beta", "correl"):
        with pytest.raises(InvalidRequest) as raised:
            await running.compute_on_bars(as_message(daily), spec(name))
        [violation] = raised.value.violations
        assert violation.field == "specs[0].name"
        assert "compares two series" in violation.description


async def test_columns_that_no_spec_reads_may_be_left_out(running: Running) -> None:
    columns = series_pb2.BarColumns(open_time_ms=[1, 2, 3], high=[3, 4, 5], low=[1, 2, 3])
    frame = await running.compute_on_bars(columns, spec("medprice"))
    assert list(frame.results[0].outputs[0].values) == [2, 3, 4]


@pytest.mark.parametrize(
    ("columns", "field", "word"),
    [
        ({}, "columns.open_time_ms", "1 to 50000"),
        ({"open_time_ms": []}, "columns.open_time_ms", "1 to 50000"),
        ({"close": []}, "columns.close", "empty, and sma reads it"),
        ({"close": [1, 2]}, "columns.close", "2 values were given for 3 times"),
        ({"volume": [1]}, "columns.volume", "1 values were given for 3 times"),
        ({"close": [1, float("nan"), 3]}, "columns.close[1]", "nan"),
        ({"close": [1, 2, float("-inf")]}, "columns.close[2]", "-inf"),
        ({"volume": [1, float("inf"), 3]}, "columns.volume[1]", "finite"),
        ({"open_time_ms": [1, 3, 2]}, "columns.open_time_ms[2]", "2 comes after 3"),
        ({"open_time_ms": [1, 1, 2]}, "columns.open_time_ms[1]", "grow strictly"),
        ({"volume": [1, 2, -3]}, "columns.volume[2]", "-3.0 was given; 0 or more"),
        ({"high": [2, 2, 2], "low": [1, 2.5, 1]}, "columns.high[1]", "at least the low, 2.5"),
        (
            {"close": [0, -2, -2], "high": [0, -2, -2], "low": [-1, -1, -3], "volume": [-1, 0, 0]},
            "columns.volume[0]",
            "0 or more",
        ),
        ({"high": [2, 2, 2.5]}, "columns.close[2]", "3.0 was given; at most the high, 2.5, is accepted"),
        ({"low": [0, 2.5, 3]}, "columns.close[1]", "2.0 was given; at least the low, 2.5, is accepted"),
        ({"open": [1, 2, 9], "high": [1, 2, 3], "low": [1, 2, 3]}, "columns.open[2]", "at most the high, 3"),
        ({"open": [1, -2, 9], "high": [1, 2, 3], "low": [1, 2, 3]}, "columns.open[1]", "at least the low, 2"),
    ],
)
async def test_invalid_bars_are_reported_with_their_place(
    running: Running, columns: dict[str, list[float]], field: str, word: str
) -> None:
    good = {"open_time_ms": [1, 2, 3], "close": [1.0, 2.0, 3.0]}
    given = series_pb2.BarColumns(**(good | columns)) if columns else series_pb2.BarColumns()  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest) as raised:
        await running.compute_on_bars(given, spec("sma", params={"timeperiod": 2}, id="sma"))
    found = {each.field: each.description for each in raised.value.violations}
    assert word in found[field]


async def test_bytes_that_are_not_a_request_are_reported(running: Running) -> None:
    for data in (b"\xff\xff\xff", b"\x0a\x05\x0a\x03abc", b"\x12\x02\x0a\x05"):
        with pytest.raises(InvalidRequest, match="ComputeOnBarsRequest"):
            await running.channel.call(f"{SERVICE}/ComputeOnBars", data, pb.ComputeOnBarsResponse)


async def test_too_many_values_of_a_client_s_own_bars(running: Running) -> None:
    bars = as_message(many_bars(20_000))
    specs = [spec("macd", id=str(index)) for index in range(10)]
    with pytest.raises(InvalidRequest, match="set limit to at most 12684"):
        await running.compute_on_bars(bars, *specs)
    frame = await running.compute_on_bars(bars, *specs, limit=12_684)
    assert len(frame.open_time_ms) == 12_684


async def test_a_limit_returns_the_newest_and_computes_over_all(running: Running, daily: Columns) -> None:
    specs = (spec("obv"), spec("ema"), spec("ichimoku"))
    whole = await running.compute_on_bars(as_message(daily), *specs)
    frame = await running.compute_on_bars(as_message(daily), *specs, limit=50)
    assert list(frame.open_time_ms) == daily.open_time_ms[-50:].tolist()
    for ours, expected in zip(frame.results, whole.results, strict=True):
        assert ours.bars_used == 502
        for output, values in zip(ours.outputs, expected.outputs, strict=True):
            assert output.first_index == 0
            assert output.values == values.values[-50:]
    assert await running.compute_on_bars(as_message(daily), *specs, limit=50_000) == whole


@pytest.mark.parametrize("limit", [0, -1, 50_001])
async def test_a_limit_out_of_bounds_is_reported(running: Running, daily: Columns, limit: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await running.compute_on_bars(as_message(daily), spec("sma"), limit=limit)
    [violation] = raised.value.violations
    assert violation.field == "limit"
    assert "1 to 50000" in violation.description


async def test_the_days_of_a_client_s_own_bars_begin_in_its_time_zone(
    running: Running, minutes: Columns
) -> None:
    asked = spec("vwap", variant="session")
    for zone, hours_ahead, sessions in (("UTC", 0, 4), ("Asia/Tokyo", 9, 5)):
        frame = await running.compute_on_bars(as_message(minutes), asked, time_zone=zone)
        values = np.array(frame.results[0].outputs[0].values)
        days = (minutes.open_time_ms + hours_ahead * 3_600_000) // 86_400_000
        begun = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        assert len(begun) == sessions
        typical = (minutes.high + minutes.low + minutes.close) / 3
        np.testing.assert_allclose(values[begun], typical[begun], rtol=1e-13)


@pytest.mark.parametrize(
    ("zone", "word"),
    [
        ("", "vwap@session starts over each day"),
        ("Mars/Olympus", "IANA"),
        ("../etc", "IANA"),
        ("x" * 5000, "IANA"),
    ],
)
async def test_an_unknown_time_zone_is_reported_when_needed(
    running: Running, daily: Columns, zone: str, word: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await running.compute_on_bars(as_message(daily), spec("vwap", variant="session"), time_zone=zone)
    [violation] = raised.value.violations
    assert violation.field == "time_zone"
    assert word in violation.description


async def test_each_output_starts_at_its_own_first_bar(running: Running) -> None:
    """A series of 60 bars has tenkan from bar 8 on, and no leading span B yet."""
    bars = as_message(many_bars(60))
    frame = await running.compute_on_bars(bars, spec("ichimoku"), spec("macd"))
    ichimoku, macd = frame.results
    assert ichimoku.status.code == 0
    assert {o.name: (o.first_index, len(o.values)) for o in ichimoku.outputs} == {
        "tenkan": (8, 52),
        "kijun": (25, 35),
        "senkou_a": (51, 9),
        "senkou_b": (60, 0),
        "chikou": (0, 60),
        "senkou_a_ahead": (25, 35),
        "senkou_b_ahead": (51, 9),
    }
    assert [(o.first_index, len(o.values)) for o in macd.outputs] == [(25, 35), (33, 27), (33, 27)]
    short = await running.compute_on_bars(as_message(many_bars(26)), spec("macd"))
    assert [len(o.values) for o in short.results[0].outputs] == [1, 0, 0]


async def test_a_division_by_zero_is_undefined_on_the_wire(running: Running) -> None:
    """A screen for rsi < 30 and mfi < 20 does not find symbols without trades."""
    bars = as_message(flat(100))
    names = ("rsi", "mfi", "stoch", "vwap", "cmf")
    frame = await running.compute_on_bars(bars, *(spec(name) for name in names))
    for result in frame.results:
        assert result.status.code == 0
        for output in result.outputs:
            assert list(output.undefined_indexes) == list(range(output.first_index, 100))
            assert set(output.values) == {0.0}
    as_talib = await running.compute_on_bars(bars, spec("rsi", variant="talib"))
    assert not as_talib.results[0].outputs[0].undefined_indexes

"""Specs: every wrong part is reported by its path, with the accepted values; none is skipped."""

import math

import pytest

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_market.errors import InvalidRequest
from finstage_rpc.fields import Fields
from services.indicators.catalogue import ALIASES, RELATED, Catalogue
from services.indicators.inputs import Source
from services.indicators.specs import Spec, read_specs


def resolved(catalogue: Catalogue, *specs: pb.IndicatorSpec) -> list[Spec]:
    fields = Fields()
    found = read_specs(fields, specs, catalogue)
    fields.done()
    return found


def violations(catalogue: Catalogue, *specs: pb.IndicatorSpec) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as raised:
        resolved(catalogue, *specs)
    return {each.field: each.description for each in raised.value.violations}


def spec(name: str, **fields: object) -> pb.IndicatorSpec:
    return pb.IndicatorSpec(name=name, **fields)  # type: ignore[arg-type]


def test_a_spec_has_every_parameter_and_the_first_variant(catalogue: Catalogue) -> None:
    [found] = resolved(catalogue, spec(" MacD ", params={"slowperiod": 30.0}))
    assert found.indicator.name == "macd"
    assert found.variant.name == "talib"
    assert found.source is Source.CLOSE
    assert found.params == {"fastperiod": 12, "slowperiod": 30, "signalperiod": 9}
    assert found.lookbacks == (29, 37, 37)
    assert found.lookback == 29
    assert found.columns == {"close"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (spec("sma", params={"timeperiod": 20}), "sma(timeperiod=20)"),
        (spec("rsi"), "rsi"),
        (spec("rsi", id="mine"), "mine"),
        (
            spec("bbands", params={"nbdevdn": 2.5, "timeperiod": 10}),
            "bbands(timeperiod=10,nbdevdn=2.5)",
        ),
        (spec("RSI", variant=" Cutler"), "rsi@cutler"),
        (spec("sma", source=pb.PRICE_SOURCE_HL2), "sma(source=hl2)"),
        (
            spec("rsi", variant="ema", source=pb.PRICE_SOURCE_OPEN, params={"timeperiod": 9}),
            "rsi(timeperiod=9,source=open)@ema",
        ),
        (spec("smma"), "rma"),
    ],
)
def test_an_id_is_the_client_s_or_the_name_with_the_given_parameters(
    catalogue: Catalogue, given: pb.IndicatorSpec, expected: str
) -> None:
    assert resolved(catalogue, given)[0].id == expected


@pytest.mark.parametrize(
    ("other", "name"),
    [("smma", "rma"), ("Bollinger", "bbands"), ("PSAR", "sar"), ("stochastic", "stoch"), ("wpr", "willr")],
)
def test_another_name_of_an_indicator_is_understood(catalogue: Catalogue, other: str, name: str) -> None:
    assert resolved(catalogue, spec(other))[0].indicator.name == name


def test_other_names_are_of_what_there_is(catalogue: Catalogue) -> None:
    names = {row.name for row in catalogue}
    assert set(ALIASES.values()) <= names
    assert not set(ALIASES) & names
    assert {name for found in RELATED.values() for name in found} <= names


def test_the_indicator_s_own_average_is_named_in_the_answer(catalogue: Catalogue) -> None:
    """Not as DEFAULT, which says nothing."""
    [apo] = resolved(catalogue, spec("apo", params={"matype": 11}))
    assert apo.params["matype"] == 1
    [kdj] = resolved(catalogue, spec("kdj", params={"slowk_matype": 11, "slowd_matype": 0}))
    assert (kdj.params["slowk_matype"], kdj.params["slowd_matype"]) == (13, 0)


def test_a_variant_may_have_its_own_defaults(catalogue: Catalogue) -> None:
    [stoch] = resolved(catalogue, spec("stoch", variant="chart"))
    assert stoch.params["fastk_period"] == 14
    [given] = resolved(catalogue, spec("stoch", variant="chart", params={"fastk_period": 21}))
    assert given.params["fastk_period"] == 21
    [mama] = resolved(catalogue, spec("mama", variant="ehlers"))
    assert mama.source is Source.HL2
    [of_open] = resolved(catalogue, spec("mama", variant="ehlers", source=pb.PRICE_SOURCE_OPEN))
    assert of_open.source is Source.OPEN


def test_the_columns_read_are_those_of_the_source_and_the_others(catalogue: Catalogue) -> None:
    [obv] = resolved(catalogue, spec("obv", source=pb.PRICE_SOURCE_HLC3))
    assert obv.columns == {"high", "low", "close", "volume"}
    [atr] = resolved(catalogue, spec("atr"))
    assert (atr.columns, atr.source) == ({"high", "low", "close"}, None)


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        (spec("smaa"), "specs[0].name", ["'smaa'", "nearest: sma"]),
        (spec(""), "specs[0].name", ["''", "ListIndicators"]),
        (spec("x" * 10_000), "specs[0].name", ["xxx…"]),
        (spec("mavp"), "specs[0].name", ["'mavp'", "left out", "series of periods"]),
        (spec("beta"), "specs[0].name", ["'beta'", "two series"]),
        (spec("correl"), "specs[0].name", ["'correl'", "two series"]),
        (spec("dmi"), "specs[0].name", ["nearest: adx, plus_di, minus_di, dx"]),
        (spec("chop"), "specs[0].name", ["nearest: vhf"]),
        (spec("pivot"), "specs[0].name", ["nearest: fractal"]),
        (spec("sma", params={"length": 5}), "specs[0].params[length]", ["did you mean timeperiod?"]),
        (spec("stoch", params={"period": 5}), "specs[0].params[period]", ["did you mean fastk_period?"]),
        (spec("macd", params={"fast": 5}), "specs[0].params[fast]", ["did you mean fastperiod?"]),
        (spec("macd", params={"fast_period": 5}), "specs[0].params[fast_period]", ["mean fastperiod?"]),
        (spec("bbands", params={"std": 5}), "specs[0].params[std]", ["mean nbdevup and nbdevdn?"]),
        (spec("ma", params={"type": 1}), "specs[0].params[type]", ["did you mean matype?"]),
        (spec("sma", id="x" * 65), "specs[0].id", ["65", "64"]),
        (spec("rsi", variant="wilder"), "specs[0].variant", ["'wilder'", "standard, talib, cutler, ema"]),
        (spec("sma", variant="cutler"), "specs[0].variant", ["sma has: talib"]),
        (spec("atr", source=pb.PRICE_SOURCE_OPEN), "specs[0].source", ["OPEN", "high, low, close"]),
        (spec("sma", source=77), "specs[0].source", ["77", "PRICE_SOURCE_HL2"]),
        (spec("sma", params={"period": 5}), "specs[0].params[period]", ["timeperiod"]),
        (spec("trange", params={"period": 5}), "specs[0].params[period]", ["no parameters"]),
        (spec("sma", params={"timeperiod": 0}), "specs[0].params[timeperiod]", ["0", "1 to 100000"]),
        (spec("rsi", params={"timeperiod": 1}), "specs[0].params[timeperiod]", ["2 to 100000"]),
        (spec("sma", params={"timeperiod": 100_001}), "specs[0].params[timeperiod]", ["100001"]),
        (spec("sma", params={"timeperiod": 2.5}), "specs[0].params[timeperiod]", ["2.5", "whole number"]),
        (spec("sma", params={"timeperiod": math.nan}), "specs[0].params[timeperiod]", ["nan"]),
        (spec("sma", params={"timeperiod": math.inf}), "specs[0].params[timeperiod]", ["inf"]),
        (spec("sma", params={"timeperiod": -(2.0**31)}), "specs[0].params[timeperiod]", ["-2147483648"]),
        (spec("t3", params={"vfactor": 1.01}), "specs[0].params[vfactor]", ["1.01", "0 to 1"]),
        (spec("t3", params={"vfactor": math.nan}), "specs[0].params[vfactor]", ["nan"]),
        (spec("bbands", params={"nbdevup": math.inf}), "specs[0].params[nbdevup]", ["inf"]),
        (spec("ma", params={"matype": 14}), "specs[0].params[matype]", ["14", "0 SMA", "1 EMA"]),
        (spec("ma", params={"matype": 0.5}), "specs[0].params[matype]", ["0.5", "13 RMA"]),
        (
            spec("macd", params={"fastperiod": 26, "slowperiod": 12}),
            "specs[0].params[fastperiod]",
            ["26", "below slowperiod", "12"],
        ),
        (
            spec("macd", params={"fastperiod": 26, "slowperiod": 12}),
            "specs[0].params[slowperiod]",
            ["12", "above fastperiod", "26"],
        ),
        (spec("macd", params={"fastperiod": 26}), "specs[0].params[fastperiod]", ["below slowperiod"]),
        (spec("ppo", params={"slowperiod": 5}), "specs[0].params[slowperiod]", ["above fastperiod"]),
        (spec("sar", params={"acceleration": 0.3}), "specs[0].params[acceleration]", ["at most maximum"]),
        (spec("mama", params={"slowlimit": 0.6}), "specs[0].params[slowlimit]", ["at most fastlimit"]),
    ],
)
def test_a_wrong_spec_is_reported_with_the_accepted_values(
    catalogue: Catalogue, given: pb.IndicatorSpec, field: str, words: list[str]
) -> None:
    found = violations(catalogue, given)
    assert field in found
    for word in words:
        assert word in found[field]


def test_all_errors_are_reported_at_once(catalogue: Catalogue) -> None:
    found = violations(
        catalogue,
        spec("nosuch"),
        spec("sma", params={"timeperiod": 0, "x": 1}, variant="y", source=99),
        spec("rsi"),
    )
    assert set(found) == {
        "specs[0].name",
        "specs[1].params[timeperiod]",
        "specs[1].params[x]",
        "specs[1].variant",
        "specs[1].source",
    }


@pytest.mark.parametrize(
    "given",
    [
        (spec("rsi"), spec("RSI")),
        (spec("rsi", variant="cutler"), spec("rsi", variant=" Cutler")),
        (spec("rsi", id="a"), spec("sma", id="a")),
        (spec("sma", id="rsi"), spec("rsi")),
    ],
)
def test_two_specs_may_not_have_one_id(
    catalogue: Catalogue, given: tuple[pb.IndicatorSpec, pb.IndicatorSpec]
) -> None:
    assert "specs[0]" in violations(catalogue, *given)["specs[1].id"]


@pytest.mark.parametrize("count", [0, 101])
def test_1_to_100_specs_are_accepted(catalogue: Catalogue, count: int) -> None:
    given = [spec("sma", id=str(index)) for index in range(count)]
    assert "1 to 100" in violations(catalogue, *given)["specs"]
    assert len(resolved(catalogue, *[spec("sma", id=str(index)) for index in range(100)])) == 100

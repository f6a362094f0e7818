"""The grammar of indicator specs."""

import pytest

from finstage_client.specs import IndicatorSpec, need_catalogue, parse, to_messages, with_ids
from finstage_client.values import Catalogue, IndicatorInfo, ParameterChoice, ParameterInfo
from finstage_market.errors import InvalidRequest

CATALOGUE = Catalogue(
    indicators=(
        IndicatorInfo(
            name="ma",
            display_name="Moving average",
            group="Overlap Studies",
            inputs=("source",),
            parameters=(
                ParameterInfo("timeperiod", "INTEGER", 30, 1, 100000, (), ""),
                ParameterInfo(
                    "matype", "CHOICE", 0, 0, 8, (ParameterChoice(0, "SMA"), ParameterChoice(1, "EMA")), ""
                ),
            ),
            outputs=(),
            default_lookback=29,
            indicator_class="WINDOW",
            variants=(),
        ),
    ),
    engine="TA-Lib 0.8.2",
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("rsi", IndicatorSpec("rsi")),
        ("sma:timeperiod=20", IndicatorSpec("sma", {"timeperiod": 20.0})),
        (
            " bbands:timeperiod=20, nbdevup=2.5,matype=ema ",
            IndicatorSpec("bbands", {"timeperiod": 20.0, "nbdevup": 2.5, "matype": "ema"}),
        ),
        ("rsi@cutler", IndicatorSpec("rsi", variant="cutler")),
        ("sma:source=hl2#mid", IndicatorSpec("sma", source="hl2", id="mid")),
        (
            "rsi:timeperiod=9@cutler#a b",
            IndicatorSpec("rsi", {"timeperiod": 9.0}, variant="cutler", id="a b"),
        ),
    ],
)
def test_a_spec_is_read(text: str, spec: IndicatorSpec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":timeperiod=2",
        "@cutler",
        "sma:timeperiod",
        "sma:timeperiod=",
        "sma:=3",
        "sma:a=1,a=2",
        "sma:source=x",
    ],
)
def test_a_text_that_does_not_follow_the_grammar_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ValueError, match=f"indicator {text!r}: "):
        parse(text)


def test_a_spec_is_known_by_its_name_where_that_is_unique() -> None:
    """Two of one name leave the naming to the service; an id given is kept."""
    ids = [spec.id for spec in with_ids(["RSI", "sma:timeperiod=20", "sma:timeperiod=50", "macd#m", "macd"])]
    assert ids == ["rsi", "", "", "m", "macd"]


def test_a_choice_is_named_through_the_catalogue() -> None:
    specs = with_ids(["ma:timeperiod=5,matype=ema"])
    assert need_catalogue(specs)
    assert dict(to_messages(specs, CATALOGUE)[0].params) == {"timeperiod": 5.0, "matype": 1.0}
    assert not need_catalogue(with_ids(["ma:matype=1"]))


def test_an_unknown_choice_is_a_violation_that_lists_the_accepted_names() -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_messages(with_ids(["rsi", "ma:matype=foo,timeperiod=x"]), CATALOGUE)
    told = {violation.field: violation.description for violation in caught.value.violations}
    assert told["specs[1].params[matype]"] == "'foo' is not a number, nor one of sma, ema"
    assert told["specs[1].params[timeperiod]"] == "'x' is not a number"

"""The catalogue's rows that TA-Lib defines, made from its metadata and our overrides."""

import functools
from collections.abc import Callable
from typing import Any

import talib
from talib import abstract

# The wrapper gives a parameter's hint and kind under a private name alone; its version is pinned.
from talib._ta_lib import _ta_getOptInputParameterInfo  # type: ignore[attr-defined]

from finstage_market.columns import Float64s
from services.indicators import overrides
from services.indicators.catalogue import (
    Indicator,
    IndicatorClass,
    Output,
    Parameter,
    ParameterType,
    Params,
    Variant,
)
from services.indicators.inputs import Inputs, Source

ENGINE = f"TA-Lib {talib.__version__}"

# Of TA_OptInputParameterType.
_INTEGER_RANGE, _INTEGER_LIST = 2, 3


def talib_rows() -> dict[str, Indicator]:
    """Every function of TA-Lib that a spec can call, by name: one variant each, "talib".

    talib.abstract is not safe across threads: this runs once, at start, and `Variant.lookback`, which uses
    it too, is for one thread (the event loop's). Values come from the plain functions.
    """
    make: Callable[[str], Any] = abstract.Function  # type: ignore[attr-defined]
    return {
        name.lower(): _row(make(name)) for name in talib.get_functions() if name not in overrides.LEFT_OUT
    }


def talib_class(name: str, flags: list[str], params: Params, defaults: Params) -> IndicatorClass:
    """How much of the past the function `name` depends on, with `params`."""
    if name in overrides.DECAYING or any("unstable period" in flag for flag in flags):
        return IndicatorClass.DECAYING
    if name in overrides.PATH_DEPENDENT or any("path-dependent" in flag for flag in flags):
        return IndicatorClass.PATH_DEPENDENT
    averages = {defaults[p] if v == overrides.MA_DEFAULT else v for p, v in params.items() if "matype" in p}
    return IndicatorClass.DECAYING if averages & overrides.DECAYING_MA else IndicatorClass.WINDOW


def _row(function: Any) -> Indicator:
    info = function.info
    name: str = info["name"]
    flags: list[str] = info["function_flags"]
    inputs = tuple(_inputs(info["input_names"]))
    defaults: Params = dict(info["parameters"])
    display_name = overrides.DISPLAY_NAMES.get(name, info["display_name"])

    def run(columns: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        outputs = compute(*(columns.read(column, source) for column in inputs), **params)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    @functools.lru_cache(maxsize=256)
    def lookback_of(*values: float) -> int:
        function.set_parameters(dict(zip(defaults, values, strict=True)))
        return int(function.lookback)

    compute = getattr(talib, name)
    return Indicator(
        name=name.lower(),
        display_name=display_name,
        group=info["group"],
        inputs=inputs,
        parameters=tuple(_parameter(name, index) for index in range(len(defaults))),
        outputs=tuple(_output(name, output, display_name, flags) for output in info["output_names"]),
        variants=(
            Variant(
                name="talib",
                description="As TA-Lib defines it.",
                run=run,
                lookback=lambda params: lookback_of(*(params[name] for name in defaults)),
                class_of=lambda params: talib_class(name, flags, params, defaults),
            ),
        ),
        ordered=overrides.ORDERED.get(name, ()),
    )


def _inputs(input_names: dict[str, str | list[str]]) -> list[str]:
    """The columns in the order in which the function takes them: "price" is the one that a spec chooses;
    "price0" and "price1" are high and low, TA-Lib's own choice, since a spec has one source."""
    names: list[str] = []
    for key, value in input_names.items():
        if isinstance(value, list):
            names += value
        else:
            names.append("source" if key == "price" else value)
    return names


def _parameter(function: str, index: int) -> Parameter:
    info = _ta_getOptInputParameterInfo(function.encode(), index)
    name: str = info["name"]
    type_ = ParameterType.REAL
    minimum, maximum = overrides.REAL.get(name, (0.0, overrides.REAL_LIMIT))
    choices: tuple[tuple[int, str], ...] = ()
    if info["type"] == _INTEGER_LIST:
        type_, choices = ParameterType.CHOICE, tuple(overrides.MA_NAMES.items())
        minimum, maximum = choices[0][0], choices[-1][0]
    elif info["type"] == _INTEGER_RANGE:
        type_, maximum = ParameterType.INTEGER, overrides.MOST_BARS
        minimum = overrides.LEAST_OF.get((function, name), overrides.LEAST.get(name, 1))
    description = info["help"].rstrip(".")
    for order in overrides.ORDERED.get(function, ()):
        if name == order.lesser:
            description += f"; {'at most' if order.or_equal else 'below'} {order.greater}"
    return Parameter(name, type_, info["default_value"], minimum, maximum, description, choices)


def _output(function: str, name: str, display_name: str, flags: list[str]) -> Output:
    described = overrides.OUTPUTS.get(function, {}).get(name)
    if function.startswith("CDL"):
        described = overrides.PATTERN
    if described is None:
        described = display_name
        if "Output scale same as input" in flags:
            described += ", in the unit of its input"
    return Output(name, described)

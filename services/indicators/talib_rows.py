"""The catalogue's rows that TA-Lib defines, made from its metadata and our overrides."""

import functools
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import talib
from talib import abstract

# The wrapper gives a parameter's hint and kind under a private name alone; its version is pinned.
from talib._ta_lib import _ta_getOptInputParameterInfo  # type: ignore[attr-defined]

from finstage_market.columns import Float64s
from services.indicators import overrides
from services.indicators.averages import CHAINS
from services.indicators.catalogue import (
    Indicator,
    IndicatorClass,
    Output,
    Parameter,
    ParameterType,
    Params,
    Run,
    Variant,
)
from services.indicators.inputs import Inputs, Source
from services.indicators.undefined import DIVISORS, Zeros

# The wrapper has a version of its own: "0.8.1 (Oct 12 2026 17:59:00)" is what the C library says.
ENGINE = f"TA-Lib {talib.__ta_version__.decode().split()[0]} (ta-lib for Python {talib.__version__})"

# The middle of the acceleration bands is an average of closes: nothing is divided.
_AFFECTED = {"ACCBANDS": (0, 2)}
_ROUNDING = 1e-9

# Of TA_OptInputParameterType.
_INTEGER_RANGE, _INTEGER_LIST = 2, 3


def talib_rows() -> dict[str, Indicator]:
    """Return every function of TA-Lib that a spec can call, by name.

    A function that divides by zero somewhere has two variants: "standard", which is undefined there, and
    "talib"; any other has "talib" alone. talib.abstract is not safe across threads: this runs once, at start,
    and `Variant.lookbacks`, which uses it too, is for one thread (the event loop's). Values come from the
    plain functions.
    """
    make: Callable[[str], Any] = abstract.Function  # type: ignore[attr-defined]
    return {
        name.lower(): _row(make(name)) for name in talib.get_functions() if name not in overrides.LEFT_OUT
    }


def _talib_class(name: str, flags: list[str]) -> IndicatorClass:
    """Return how much of the past the function `name` depends on, but for its choice of an average."""
    if name in overrides.DECAYING or any("unstable period" in flag for flag in flags):
        return IndicatorClass.DECAYING
    if name in overrides.PATH_DEPENDENT or any("path-dependent" in flag for flag in flags):
        return IndicatorClass.PATH_DEPENDENT
    return IndicatorClass.WINDOW


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

    def lookbacks(params: Params) -> tuple[int, ...]:
        return (lookback_of(*(params[each] for each in defaults)),) * len(outputs)

    def class_of(params: Params) -> IndicatorClass:
        if class_ is IndicatorClass.WINDOW and any(params[each] in overrides.DECAYING_MA for each in kinds):
            return IndicatorClass.DECAYING
        return class_

    def keeps_sums(params: Params) -> bool:
        return sums or any(params[each] in overrides.RUNNING_SUM_MA for each in kinds)

    class_, sums = _talib_class(name, flags), name in overrides.RUNNING_SUMS
    kinds = [each for each in defaults if "matype" in each]

    compute = getattr(talib, name)
    chain = CHAINS.get(name)
    outputs = tuple(_output(name, output, display_name, flags) for output in info["output_names"])
    charts = f" {overrides.CHARTS[name]}." if name in overrides.CHARTS else ""
    raw = Variant(
        name="talib",
        description=f"As TA-Lib defines it.{charts}",
        run=within_bounds(chain.run(None) if chain else run, outputs),
        lookbacks=chain.lookbacks if chain else lookbacks,
        class_of=class_of,
        keeps_sums=keeps_sums,
    )
    variants: tuple[Variant, ...] = (raw,)
    if name in DIVISORS:
        zeros, where = DIVISORS[name]
        standard = replace(
            raw,
            name="standard",
            description=f"TA-Lib's definition; undefined where {where} (a division by zero).{charts}",
            run=within_bounds(
                chain.run(zeros) if chain else undefined_where(zeros, run, _AFFECTED.get(name)), outputs
            ),
        )
        raw = replace(
            raw,
            description="TA-Lib's own number everywhere, also where it divides by zero. One that passes its "
            "output's bound by rounding is put on the bound.",
        )
        variants = (standard, raw)
    return Indicator(
        name=name.lower(),
        display_name=display_name,
        group=info["group"],
        inputs=inputs,
        parameters=tuple(_parameter(name, index) for index in range(len(defaults))),
        outputs=outputs,
        variants=variants,
        ordered=overrides.ORDERED.get(name, ()),
        refusal=overrides.REFUSED.get(name, ""),
    )


def undefined_where(zeros: Zeros, run: Run, affected: Collection[int] | None = None) -> Run:
    """Return `run` with no value where the divisor is zero.

    affected: the outputs that are divided; None: all.
    """

    def undefined_run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        outputs = run(inputs, source, params)
        zero = zeros(inputs, source, params)
        if zero is None:
            return outputs
        return tuple(
            np.where(zero, np.nan, values) if affected is None or index in affected else values
            for index, values in enumerate(outputs)
        )

    return undefined_run


def within_bounds(run: Run, described: tuple[Output, ...]) -> Run:
    """Return `run` with values that pass their bounds by rounding alone put on them."""
    bounds = [
        (index, each.minimum, each.maximum)
        for index, each in enumerate(described)
        if each.minimum > -math.inf
    ]

    def bounded_run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        outputs = list(run(inputs, source, params))
        for index, minimum, maximum in bounds:
            values = outputs[index]
            if np.fmin.reduce(values) < minimum or np.fmax.reduce(values) > maximum:
                low = (values < minimum) & (values > minimum - _ROUNDING)
                high = (values > maximum) & (values < maximum + _ROUNDING)
                outputs[index] = np.where(low, minimum, np.where(high, maximum, values))
        return tuple(outputs)

    return bounded_run


def _inputs(input_names: dict[str, str | list[str]]) -> list[str]:
    """Return the columns in the order in which the function takes them.

    "price" is the one that a spec chooses; "price0" and "price1" are high and low, TA-Lib's own choice,
    since a spec has one source.
    """
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
        type_, maximum = ParameterType.INTEGER, overrides.MAX_PERIOD
        minimum = overrides.MIN_OF.get((function, name), overrides.MIN.get(name, 1))
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
    minimum, maximum = overrides.BOUNDS.get(function, (-math.inf, math.inf))
    if (function, name) in overrides.UNBOUNDED:
        minimum, maximum = -math.inf, math.inf
    return Output(name, described, minimum, maximum)

"""Specs: what a request asks to compute, checked against the catalogue."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_rpc.fields import Fields, shown
from services.indicators.catalogue import (
    Catalogue,
    Indicator,
    IndicatorClass,
    Parameter,
    ParameterType,
    Params,
    Variant,
)
from services.indicators.inputs import Source
from services.indicators.overrides import LEFT_OUT, MA_DEFAULT

MAX_SPECS = 100
MAX_ID_CHARACTERS = 64

# What people call parameters elsewhere.
_PERIOD_WORDS = {"period", "length", "len", "window", "n", "lookback", "span", "periods", "time_period"}
_KIND_WORDS = {"type", "ma", "ma_type", "method", "mamode", "average"}
_DEVIATION_WORDS = {"std", "stddev", "deviation", "deviations", "mult", "factor", "k", "nbdev", "multiplier"}


@dataclass(frozen=True, slots=True)
class Spec:
    """One computation, with everything decided.

    id: the client's name for it, unique in its request.
    source: the column read; None where the indicator has no choice of one.
    params: every parameter with its value.
    lookbacks: how many bars come before the first value, of each output.
    class_: how much of the past a value depends on.
    """

    id: str
    indicator: Indicator
    variant: Variant
    source: Source | None
    params: Params
    lookbacks: tuple[int, ...]
    class_: IndicatorClass

    @property
    def lookback(self) -> int:
        """How many bars come before the first value of any output."""
        return min(self.lookbacks)

    @property
    def read_source(self) -> Source:
        """The source to compute with, where the indicator reads one."""
        return self.source or Source.CLOSE

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        fixed = frozenset(name for name in self.indicator.inputs if name != "source")
        return fixed.union(self.source.columns) if self.source else fixed

    @property
    def is_anchored(self) -> bool:
        """Whether it starts over after an absurd value: all of class WINDOW, and what keeps running sums."""
        return self.class_ is IndicatorClass.WINDOW or self.variant.keeps_sums(self.params)


def read_specs(fields: Fields, specs: Sequence[pb.IndicatorSpec], catalogue: Catalogue) -> list[Spec]:
    """Return the specs of the request's field `specs`: 1 to 100.

    Each wrong part of each is noted in `fields`; what is returned for a wrong one means nothing.
    """
    fields.count("specs", specs, least=1, most=MAX_SPECS, what="specs")
    found = []
    ids: dict[str, int] = {}
    for index, spec in enumerate(specs[:MAX_SPECS]):
        path = f"specs[{index}]"
        row = catalogue.find(spec.name)
        if row is None:
            fields.wrong(f"{path}.name", _unknown_name(spec.name, catalogue))
            continue
        if row.refusal:
            fields.wrong(f"{path}.name", f"{shown(spec.name)} was given; {row.refusal}")
            continue
        resolved = _resolve(fields, path, spec, row)
        if resolved is None:
            continue
        other = ids.setdefault(resolved.id, index)
        if other != index:
            fields.wrong(
                f"{path}.id",
                f"{shown(resolved.id)} is the id of specs[{other}] too; ids must differ: give each its own",
            )
        found.append(resolved)
    return found


def _unknown_name(name: str, catalogue: Catalogue) -> str:
    if reason := LEFT_OUT.get(name.strip().upper()):
        return f"{shown(name)} was given; it is left out: {reason}"
    nearest = catalogue.nearest(name)
    hint = f"nearest: {', '.join(nearest)}; " if nearest else ""
    return (
        f"{shown(name)} was given; no indicator has this name; {hint}ListIndicators has all {len(catalogue)}"
    )


def _resolve(fields: Fields, path: str, spec: pb.IndicatorSpec, row: Indicator) -> Spec | None:
    if len(spec.id) > MAX_ID_CHARACTERS:
        fields.wrong(
            f"{path}.id",
            f"{len(spec.id)} characters were given; at most {MAX_ID_CHARACTERS} are accepted",
        )
    variant = _variant(fields, path, spec.variant, row)
    source = _source(fields, path, spec.source, row, (variant or row.variants[0]).source)
    params = _params(fields, path, spec.params, row, variant)
    if params is None or variant is None:
        return None
    return Spec(
        id=spec.id or _default_id(row, spec),
        indicator=row,
        variant=variant,
        source=source,
        params=params,
        lookbacks=variant.lookbacks(params),
        class_=variant.class_of(params),
    )


def _variant(fields: Fields, path: str, name: str, row: Indicator) -> Variant | None:
    if not name:
        return row.variants[0]
    for variant in row.variants:
        if variant.name == name.strip().lower():
            return variant
    accepted = ", ".join(variant.name for variant in row.variants)
    fields.wrong(f"{path}.variant", f"{shown(name)} was given; {row.name} has: {accepted}")
    return None


def _source(fields: Fields, path: str, value: int, row: Indicator, usual: Source) -> Source | None:
    default = usual if row.has_source else None
    if value == pb.PRICE_SOURCE_UNSPECIFIED:
        return default
    field = f"{path}.source"
    if fields.enum(field, pb.PriceSource, value) not in pb.PriceSource.values():
        return default
    name = pb.PriceSource.Name(pb.PriceSource.ValueType(value))
    if not row.has_source:
        fields.wrong(field, f"{name} was given; {row.name} has no choice: it reads {', '.join(row.inputs)}")
        return None
    return Source(_source_name(value))


def _source_name(value: int) -> str:
    return pb.PriceSource.Name(pb.PriceSource.ValueType(value)).removeprefix("PRICE_SOURCE_").lower()


def _params(
    fields: Fields, path: str, given: Mapping[str, float], row: Indicator, variant: Variant | None
) -> Params | None:
    """Return every parameter with its value; None where one is wrong."""
    wrong: dict[str, str] = {}
    params = row.default_params(variant)
    known = {parameter.name: parameter for parameter in row.parameters}
    for name, value in given.items():
        parameter = known.get(name)
        if parameter is None:
            accepted = f"has: {', '.join(known)}" if known else "has no parameters"
            hint = f"; did you mean {meant}?" if (meant := _meant(name, row)) else ""
            wrong[name] = f"{row.name} has no parameter of this name; it {accepted}{hint}"
        elif problem := _problem(parameter, value):
            wrong[name] = f"{_number(value)} was given; {problem}"
        else:
            params[name] = value if parameter.type is ParameterType.REAL else int(value)
            if parameter.type is ParameterType.CHOICE and params[name] == MA_DEFAULT:
                params[name] = parameter.default
    for order in () if wrong else row.ordered:
        if not order.holds(params):
            relation = ("at most", "at least") if order.or_equal else ("below", "above")
            lesser, greater = _number(params[order.lesser]), _number(params[order.greater])
            wrong[order.lesser] = (
                f"it is {lesser}; it must be {relation[0]} {order.greater}, which is {greater}"
            )
            wrong[order.greater] = (
                f"it is {greater}; it must be {relation[1]} {order.lesser}, which is {lesser}"
            )
    for name, problem in sorted(wrong.items()):
        fields.wrong(f"{path}.params[{name[:MAX_ID_CHARACTERS]}]", problem)
    return None if wrong else params


def _meant(name: str, row: Indicator) -> str:
    """Return the parameter that `name` may have meant; empty where none is like it."""
    text = name.strip().lower()
    words = [parameter.name for parameter in row.parameters]
    periods = [word for word in words if word in ("timeperiod", "fastk_period")]
    if text in _PERIOD_WORDS and periods:
        return periods[0]
    if text in _KIND_WORDS:
        return next((word for word in words if "matype" in word), "")
    if text in _DEVIATION_WORDS:
        return " and ".join(word for word in words if word.startswith(("nbdev", "multiplier")))
    plain = {word.replace("_", ""): word for word in words}
    # No slip is longer.
    text = text.replace("_", "")[:32]
    begun = [each for each in plain if text and each.startswith(text)]
    return next((plain[each] for each in begun or difflib.get_close_matches(text, plain, n=1)), "")


def _problem(parameter: Parameter, value: float) -> str:
    """Return why `parameter` does not take `value`; empty where it does."""
    within = parameter.minimum <= value <= parameter.maximum  # false for NaN
    whole = parameter.type is ParameterType.REAL or (math.isfinite(value) and value == int(value))
    if within and whole:
        return ""
    if parameter.type is ParameterType.CHOICE:
        return (
            "one of " + ", ".join(f"{number} {name}" for number, name in parameter.choices) + " is accepted"
        )
    kind = "a whole number" if parameter.type is ParameterType.INTEGER else "a number"
    return f"{kind} from {_number(parameter.minimum)} to {_number(parameter.maximum)} is accepted"


def _default_id(row: Indicator, spec: pb.IndicatorSpec) -> str:
    """Return the indicator's name with what the spec gives: "rsi(timeperiod=20,source=hl2)@cutler"."""
    parts = [f"{p.name}={_number(spec.params[p.name])}" for p in row.parameters if p.name in spec.params]
    if spec.source and spec.source in pb.PriceSource.values():
        parts.append(f"source={_source_name(spec.source)}")
    variant = f"@{spec.variant.strip().lower()}" if spec.variant else ""
    return (f"{row.name}({','.join(parts)})" if parts else row.name) + variant


def _number(value: float) -> str:
    """Return 20 for 20.0, 0.02 for 0.02."""
    return repr(float(value)).removesuffix(".0")

"""Specs: what a request asks to compute, checked against the catalogue."""

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

MOST_SPECS = 100
MOST_ID_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Spec:
    """One computation, with everything decided.

    id: the client's name for it, unique in its request.
    source: the column read; None where the indicator has no choice of one.
    params: every parameter with its value.
    lookback: how many bars come before the first value.
    """

    id: str
    indicator: Indicator
    variant: Variant
    source: Source | None
    params: Params
    lookback: int

    @property
    def columns(self) -> set[str]:
        """The columns that it reads."""
        fixed = {name for name in self.indicator.inputs if name != "source"}
        return fixed.union(self.source.columns) if self.source else fixed

    @property
    def class_(self) -> IndicatorClass:
        """How much of the past a value depends on."""
        return self.variant.class_of(self.params)


def read_specs(fields: Fields, specs: Sequence[pb.IndicatorSpec], catalogue: Catalogue) -> list[Spec]:
    """The request's field `specs`: 1 to 100, each wrong part of each noted. What it returns for wrong ones
    means nothing."""
    fields.count("specs", specs, least=1, most=MOST_SPECS, what="specs")
    found = []
    ids: dict[str, int] = {}
    for index, spec in enumerate(specs[:MOST_SPECS]):
        path = f"specs[{index}]"
        row = catalogue.find(spec.name)
        if row is None:
            fields.wrong(f"{path}.name", _unknown_name(spec.name, catalogue))
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
    nearest = catalogue.nearest(name)
    hint = f"nearest: {', '.join(nearest)}; " if nearest else ""
    return (
        f"{shown(name)} was given; no indicator has this name; {hint}ListIndicators has all {len(catalogue)}"
    )


def _resolve(fields: Fields, path: str, spec: pb.IndicatorSpec, row: Indicator) -> Spec | None:
    if len(spec.id) > MOST_ID_CHARACTERS:
        fields.wrong(
            f"{path}.id",
            f"{len(spec.id)} characters were given; at most {MOST_ID_CHARACTERS} are accepted",
        )
    variant = _variant(fields, path, spec.variant, row)
    source = _source(fields, path, spec.source, row)
    params = _params(fields, path, spec.params, row)
    if params is None or variant is None:
        return None
    return Spec(
        id=spec.id or _default_id(row, spec.params),
        indicator=row,
        variant=variant,
        source=source,
        params=params,
        lookback=variant.lookback(params),
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


def _source(fields: Fields, path: str, value: int, row: Indicator) -> Source | None:
    default = Source.CLOSE if row.has_source else None
    if value == pb.PRICE_SOURCE_UNSPECIFIED:
        return default
    field = f"{path}.source"
    if fields.enum(field, pb.PriceSource, value) not in pb.PriceSource.values():
        return default
    name = pb.PriceSource.Name(pb.PriceSource.ValueType(value))
    if not row.has_source:
        fields.wrong(field, f"{name} was given; {row.name} has no choice: it reads {', '.join(row.inputs)}")
        return None
    return Source(name.removeprefix("PRICE_SOURCE_").lower())


def _params(fields: Fields, path: str, given: Mapping[str, float], row: Indicator) -> Params | None:
    """Every parameter with its value; None where one is wrong."""
    wrong: dict[str, str] = {}
    params = row.default_params
    known = {parameter.name: parameter for parameter in row.parameters}
    for name, value in given.items():
        parameter = known.get(name)
        if parameter is None:
            accepted = f"has: {', '.join(known)}" if known else "has no parameters"
            wrong[name] = f"{row.name} has no parameter of this name; it {accepted}"
        elif problem := _problem(parameter, value):
            wrong[name] = f"{_number(value)} was given; {problem}"
        else:
            params[name] = value if parameter.type is ParameterType.REAL else int(value)
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
        fields.wrong(f"{path}.params[{name[:MOST_ID_CHARACTERS]}]", problem)
    return None if wrong else params


def _problem(parameter: Parameter, value: float) -> str:
    """Why `parameter` does not take `value`; empty where it does."""
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


def _default_id(row: Indicator, given: Mapping[str, float]) -> str:
    """The indicator's name with the given parameters, in the catalogue's order: "sma(timeperiod=20)"."""
    shown_params = [f"{p.name}={_number(given[p.name])}" for p in row.parameters if p.name in given]
    return f"{row.name}({','.join(shown_params)})" if shown_params else row.name


def _number(value: float) -> str:
    """20 for 20.0, 0.02 for 0.02."""
    return repr(float(value)).removesuffix(".0")

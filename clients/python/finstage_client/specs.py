"""Indicator specs as text: name[:param=value[,param=value]][@variant][#id]."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_client.values import Catalogue, ParameterInfo
from finstage_market.errors import InvalidRequest, Violation

GRAMMAR = "name[:param=value[,param=value]][@variant][#id]"

_SOURCES = {
    name.removeprefix("PRICE_SOURCE_").lower(): name for name, number in pb.PriceSource.items() if number
}


@dataclass(frozen=True, slots=True)
class IndicatorSpec:
    """One computation: finstage.indicators.v1.IndicatorSpec.

    params: values by parameter; a choice may be given by its name ("ema" for a matype).
    source: the prices to read ("open" … "ohlc4"), for indicators that have a choice; empty: close.
    variant: the definition; empty: the indicator's first.
    id: the caller's name for the spec; empty: see `with_ids`.
    """

    name: str
    params: Mapping[str, float | str] = field(default_factory=dict)
    source: str = ""
    variant: str = ""
    id: str = ""


def parse(text: str) -> IndicatorSpec:
    """Return the spec that `text` writes in GRAMMAR; `source` is written as a parameter.

    Examples: "rsi", "sma:timeperiod=20", "sma:timeperiod=20,source=hl2", "ma:matype=ema", "rsi@cutler#slow".

    Raises:
        ValueError: `text` does not follow the grammar; the message says where.
    """
    rest, _, spec_id = text.strip().partition("#")
    rest, _, variant = rest.partition("@")
    name, _, given = rest.partition(":")
    params: dict[str, float | str] = {}
    for part in filter(None, given.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value) or key in params:
            raise ValueError(
                f"indicator {text!r}: {part.strip()!r} is not param=value, once; write {GRAMMAR}"
            )
        params[key] = _number_or_name(value)
    source = str(params.pop("source", ""))
    if not name.strip() or source not in ("", *_SOURCES):
        what = f"source {source!r} is not one of {', '.join(_SOURCES)}" if source else f"write {GRAMMAR}"
        raise ValueError(f"indicator {text!r}: {what}")
    return IndicatorSpec(name.strip(), params, source, variant.strip(), spec_id.strip())


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def with_ids(specs: Iterable["IndicatorSpec | str"]) -> list[IndicatorSpec]:
    """Return the specs, parsed where they are text, with the name as the id of each that has none.

    Where several share a name they keep an empty id, which the service fills: "sma(timeperiod=20)".

    Raises:
        InvalidRequest: a text does not follow the grammar.
    """
    try:
        parsed = [parse(spec) if isinstance(spec, str) else spec for spec in specs]
    except ValueError as error:
        raise InvalidRequest([Violation("indicators", str(error))]) from None
    names = [spec.id or spec.name.lower() for spec in parsed]
    return [
        replace(spec, id=name if spec.id or names.count(name) == 1 else "")
        for spec, name in zip(parsed, names, strict=True)
    ]


def need_catalogue(specs: Iterable[IndicatorSpec]) -> bool:
    """Tell whether a choice is given by its name, whose number is in the catalogue."""
    return any(isinstance(value, str) for spec in specs for value in spec.params.values())


def to_messages(specs: Sequence[IndicatorSpec], catalogue: Catalogue | None) -> list[pb.IndicatorSpec]:
    """Return the contract's messages; the catalogue turns named choices into numbers.

    Raises:
        InvalidRequest: a value is neither a number nor the name of a choice.
    """
    violations: list[Violation] = []
    messages = []
    for at, spec in enumerate(specs):
        known = _parameters(catalogue, spec.name)
        params: dict[str, float] = {}
        for key, value in spec.params.items():
            number = value if not isinstance(value, str) else _choice(known.get(key), value)
            if number is None:
                violations.append(
                    Violation(f"specs[{at}].params[{key}]", _accepted(known.get(key), str(value)))
                )
            else:
                params[key] = float(number)
        messages.append(
            pb.IndicatorSpec(
                id=spec.id,
                name=spec.name,
                params=params,
                source=_SOURCES[spec.source.lower()] if spec.source else None,
                variant=spec.variant,
            )
        )
    if violations:
        raise InvalidRequest(violations)
    return messages


def _parameters(catalogue: Catalogue | None, name: str) -> dict[str, ParameterInfo]:
    rows = catalogue.indicators if catalogue else ()
    return {p.name: p for row in rows if row.name == name.lower() for p in row.parameters}


def _choice(parameter: ParameterInfo | None, name: str) -> int | None:
    choices = parameter.choices if parameter else ()
    return next((c.value for c in choices if c.name.lower() == name.lower()), None)


def _accepted(parameter: ParameterInfo | None, given: str) -> str:
    names = ", ".join(c.name.lower() for c in parameter.choices) if parameter else ""
    return f"{given!r} is not a number" + (f", nor one of {names}" if names else "")

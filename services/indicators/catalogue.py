"""The catalogue: what an indicator is, and how it is found."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from finstage_market.columns import Float64s
from services.indicators.inputs import Inputs, Source

Params = dict[str, float]
"""Every parameter of an indicator with its value; whole numbers and choices as int."""

Run = Callable[[Inputs, Source, Params], tuple[Float64s, ...]]
"""Computes the outputs over all n bars: arrays of n numbers, of which those before the lookback mean nothing.
n is above the lookback."""


class IndicatorClass(StrEnum):
    """How much of the past a value depends on: finstage.indicators.v1.IndicatorClass."""

    WINDOW = "WINDOW"
    DECAYING = "DECAYING"
    PATH_DEPENDENT = "PATH_DEPENDENT"


class ParameterType(StrEnum):
    """What values a parameter takes: finstage.indicators.v1.ParameterType."""

    INTEGER = "INTEGER"
    REAL = "REAL"
    CHOICE = "CHOICE"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. choices: (value, name) each, for CHOICE."""

    name: str
    type: ParameterType
    default: float
    minimum: float
    maximum: float
    description: str
    choices: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ordered:
    """`lesser` must be below `greater`, or may equal it too."""

    lesser: str
    greater: str
    or_equal: bool = False

    def holds(self, params: Params) -> bool:
        """Whether it does."""
        lesser, greater = params[self.lesser], params[self.greater]
        return lesser < greater or (self.or_equal and lesser == greater)


@dataclass(frozen=True, slots=True)
class Output:
    """One output."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One definition of an indicator.

    lookback: how many bars come before the first value of all its outputs.
    class_of: how much of the past a value depends on, with these parameters.
    """

    name: str
    description: str
    run: Run
    lookback: Callable[[Params], int]
    class_of: Callable[[Params], IndicatorClass]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One row of the catalogue.

    inputs: columns, and "source" for the one that a spec chooses.
    ordered: what must hold between its parameters.
    variants: its definitions, the default one first.
    """

    name: str
    display_name: str
    group: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    variants: tuple[Variant, ...]
    ordered: tuple[Ordered, ...] = ()

    @property
    def has_source(self) -> bool:
        """Whether a spec may choose the column that it reads."""
        return "source" in self.inputs

    @property
    def default_params(self) -> Params:
        """Every parameter with its default."""
        return {parameter.name: parameter.default for parameter in self.parameters}


class Catalogue:
    """The indicators, by name."""

    def __init__(self, indicators: Iterable[Indicator]) -> None:
        self._by_name = {row.name: row for row in sorted(indicators, key=lambda row: row.name)}
        self._words: dict[str, list[str]] = {}
        for row in self:
            for word in {row.name, *row.display_name.lower().replace("/", " ").split()}:
                self._words.setdefault(word, []).append(row.name)

    def __iter__(self) -> Iterator[Indicator]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Indicator | None:
        """The indicator `name`, in any case."""
        return self._by_name.get(name.strip().lower())

    def search(self, *, query: str, group: str) -> list[Indicator]:
        """Those whose name or display name contains `query` in any case, of the group exactly `group`; an
        empty one is no condition."""
        text = query.strip().lower()
        return [
            row
            for row in self
            if (text in row.name or text in row.display_name.lower()) and group in ("", row.group)
        ]

    def nearest(self, name: str, *, most: int = 5) -> list[str]:
        """The names of indicators that `name` may have meant, the likeliest first."""
        # Nobody's slip is as long as that, and comparing costs its length.
        text = name.strip().lower()[:32]
        if not text:
            return []
        held = sorted(self.search(query=text, group=""), key=lambda row: len(row.display_name))
        alike = difflib.get_close_matches(text, self._words, n=most, cutoff=0.7)
        found = [row.name for row in held] + [row for word in alike for row in self._words[word]]
        return list(dict.fromkeys(found))[:most]

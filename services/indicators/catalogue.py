"""The catalogue: what an indicator is, and how it is found."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from finstage_market.columns import Float64s
from services.indicators.inputs import Inputs, Source

Params = dict[str, float]
"""Every parameter of an indicator with its value; whole numbers and choices as int."""

Run = Callable[[Inputs, Source, Params], tuple[Float64s, ...]]
"""Computes the outputs over all n bars: an array of n numbers each, of which those before its lookback
mean nothing. n is above the lookback of one of them at least."""


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
        """Return whether it does."""
        lesser, greater = params[self.lesser], params[self.greater]
        return lesser < greater or (self.or_equal and lesser == greater)


@dataclass(frozen=True, slots=True)
class Output:
    """One output.

    minimum, maximum: what it cannot pass by its definition; infinite where there is no bound.
    """

    name: str
    description: str
    minimum: float = -math.inf
    maximum: float = math.inf


@dataclass(frozen=True, slots=True)
class Variant:
    """One definition of an indicator.

    lookbacks: how many bars come before the first value, of each output.
    class_of: how much of the past a value depends on, with these parameters.
    keeps_sums: whether it is not of class WINDOW, and keeps running sums all the same.
    defaults: of parameters whose default is not the indicator's.
    source: the column read when a spec names none, where the indicator has a choice.
    by_day: whether it starts over each day, and so needs the time zone in which days begin.
    """

    name: str
    description: str
    run: Run
    lookbacks: Callable[[Params], tuple[int, ...]]
    class_of: Callable[[Params], IndicatorClass]
    keeps_sums: Callable[[Params], bool] = lambda params: False
    defaults: Params = field(default_factory=dict)
    source: Source = Source.CLOSE
    by_day: bool = False

    def lookback(self, params: Params) -> int:
        """Return how many bars come before the first value of any output."""
        return min(self.lookbacks(params))


@dataclass(frozen=True, slots=True)
class Indicator:
    """One row of the catalogue.

    inputs: columns, and "source" for the one that a spec chooses.
    ordered: what must hold between its parameters.
    variants: its definitions, the default one first.
    refusal: why no spec may ask for it; empty where one may.
    """

    name: str
    display_name: str
    group: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    variants: tuple[Variant, ...]
    ordered: tuple[Ordered, ...] = ()
    refusal: str = ""

    @property
    def has_source(self) -> bool:
        """Whether a spec may choose the column that it reads."""
        return "source" in self.inputs

    def default_params(self, variant: Variant | None = None) -> Params:
        """Return every parameter with its default in `variant`, or in the first one."""
        return {each.name: each.default for each in self.parameters} | (variant or self.variants[0]).defaults


ALIASES = {
    "awesome": "ao",
    "bb": "bbands",
    "bollinger": "bbands",
    "dc": "donchian",
    "keltner": "kc",
    "psar": "sar",
    "smma": "rma",
    "stochastic": "stoch",
    "tr": "trange",
    "wilder": "rma",
    "wpr": "willr",
}
"""Other names of indicators."""

RELATED = {
    "chop": ("vhf", "er", "adx"),
    "choppiness": ("vhf", "er", "adx"),
    "dmi": ("adx", "plus_di", "minus_di", "dx"),
    "di": ("plus_di", "minus_di"),
    "pivot": ("fractal", "donchian", "midprice"),
    "pivots": ("fractal", "donchian", "midprice"),
    "zigzag": ("fractal",),
}
"""Names of what the catalogue does not have, or has in parts, with what comes nearest."""


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
        """Return the indicator `name`, in any case, or the one that has it as another name."""
        text = name.strip().lower()
        return self._by_name.get(ALIASES.get(text, text))

    def search(self, *, query: str, group: str) -> list[Indicator]:
        """Return the rows of exactly `group` whose name or display name contains `query` in any case.

        An empty one is no condition.
        """
        text = query.strip().lower()
        return [
            row
            for row in self
            if (text in row.name or text in row.display_name.lower()) and group in ("", row.group)
        ]

    def nearest(self, name: str, *, limit: int = 5) -> list[str]:
        """Return the names of indicators that `name` may have meant, the likeliest first."""
        # No slip is as long as that, and comparing costs its length.
        text = name.strip().lower()[:32]
        if not text:
            return []
        if text in RELATED:
            return list(RELATED[text])
        held = sorted(self.search(query=text, group=""), key=lambda row: len(row.display_name))
        alike = difflib.get_close_matches(text, self._words, n=limit, cutoff=0.7)
        found = [row.name for row in held] + [row for word in alike for row in self._words[word]]
        return list(dict.fromkeys(found))[:limit]

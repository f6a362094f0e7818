"""The shared parts of every bench: interleaved rounds, rows with their goals, the table and its JSON.

    times = interleaved({"dict": time_dict, "ours": time_ours}, rounds=7)
    hit = row("hit", times["ours"], "ns", scale=1e9, against="dict", base=times["dict"], goal=at_most(3))
    write("cache", [hit])

A case is a function that runs once and returns its figure (seconds per operation, say). Cases take turns, so
that a disturbance of the machine hits them all alike; the report has the median of the rounds and their
spread.

A goal is a ratio to another figure of the same run, never an absolute time, so it holds on any machine;
memory is the exception.

FINSTAGE_BRIEF=1 is for tests: one round at the brief size of `sized`, without judging goals.
FINSTAGE_REPORTS names the folder for the JSON; in the brief form nothing is written without it.
"""

import inspect
import json
import os
import platform
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

BRIEF = os.environ.get("FINSTAGE_BRIEF", "") not in ("", "0")
_GIVEN = os.environ.get("FINSTAGE_REPORTS", "")
_FOLDER = Path(_GIVEN) if _GIVEN else Path(__file__).resolve().parent.parent / "var"

T = TypeVar("T")


def sized(full: T, brief: T) -> T:
    """Return the size or number of turns of a real run, or of the brief form."""
    return brief if BRIEF else full


@dataclass(frozen=True, slots=True)
class Samples:
    """The figures of one case, one per round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a fraction of the median."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        lower, _, upper = statistics.quantiles(self.values, n=4)
        return (upper - lower) / 2 / self.median


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal for a row: a bound on its ratio to `against`, or on its value."""

    text: str
    holds: Callable[[float, float | None], bool]


def at_most(bound: float) -> Goal:
    """Require a ratio of at most `bound`."""
    return Goal(f"ratio ≤ {bound:g}", lambda value, ratio: ratio is not None and ratio <= bound)


def at_least(bound: float) -> Goal:
    """Require a ratio of at least `bound`."""
    return Goal(f"ratio ≥ {bound:g}", lambda value, ratio: ratio is not None and ratio >= bound)


def value_at_most(bound: float, unit: str = "") -> Goal:
    """Require a value of at most `bound`: only for memory; for times use a ratio."""
    return Goal(f"≤ {bound:g} {unit}".rstrip(), lambda value, ratio: value <= bound)


def value_at_least(bound: float, unit: str = "") -> Goal:
    """Require a value of at least `bound`, a figure of the same run."""
    return Goal(f"≥ {bound:g} {unit}".rstrip(), lambda value, ratio: value >= bound)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report; `against` names the row that `ratio` compares with.

    holds: whether the goal is met; None without a goal, and in the brief form.
    """

    name: str
    value: float
    unit: str
    spread: float | None = None
    against: str | None = None
    ratio: float | None = None
    goal: str | None = None
    holds: bool | None = None


def row(
    name: str,
    figure: Samples | float,
    unit: str,
    *,
    scale: float = 1.0,
    against: str | None = None,
    base: Samples | float | None = None,
    goal: Goal | None = None,
) -> Row:
    """Return a row; `scale` converts the figure to `unit`. The ratio uses the unscaled figures.

    For two Samples of equally many rounds, the ratio is the median of the rounds' ratios, so that a slow
    round does not count.
    """
    value = (figure.median if isinstance(figure, Samples) else figure) * scale
    spread = figure.spread if isinstance(figure, Samples) else None
    ratio = None if base is None else _ratio(figure, base)
    return Row(
        name,
        value,
        unit,
        spread,
        against,
        ratio,
        None if goal is None else goal.text,
        None if goal is None or BRIEF else bool(goal.holds(value, ratio)),
    )


def _ratio(figure: Samples | float, base: Samples | float) -> float:
    if isinstance(figure, Samples) and isinstance(base, Samples) and len(figure.values) == len(base.values):
        return statistics.median(a / b for a, b in zip(figure.values, base.values, strict=True))
    one = figure.median if isinstance(figure, Samples) else figure
    other = base.median if isinstance(base, Samples) else base
    return one / other


def interleaved(cases: Mapping[str, Callable[[], float]], *, rounds: int = 7) -> dict[str, Samples]:
    """Run every case once per round, after one warm-up round."""
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(sized(rounds, 1) + 1):
        for name, case in cases.items():
            figure = case()
            if number:
                figures[name].append(figure)
    return {name: Samples(tuple(values)) for name, values in figures.items()}


async def interleaved_async(
    cases: Mapping[str, Callable[[], Awaitable[float] | float]], *, rounds: int = 7
) -> dict[str, Samples]:
    """Run as `interleaved` does; cases may be async."""
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(sized(rounds, 1) + 1):
        for name, case in cases.items():
            figure = case()
            if inspect.isawaitable(figure):
                figure = await figure
            if number:
                figures[name].append(figure)
    return {name: Samples(tuple(values)) for name, values in figures.items()}


def machine() -> str:
    """Return the machine and the Python version, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2] for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].strip() if names else model
    return f"{platform.system()}, {os.cpu_count()} cores, {model}; Python {platform.python_version()}"


def versions(*distributions: str) -> str:
    """Return the installed versions of packages, in one line."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in distributions)


def save(name: str, entries: Sequence[dict[str, Any]]) -> None:
    """Write NAME.json to the folder of reports, and print its path."""
    if BRIEF and not _GIVEN:
        return
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {os.path.relpath(path)}", flush=True)


def write(name: str, rows: Sequence[Row], *, notes: Sequence[str] = ()) -> bool:
    """Print the table, save it as bench/NAME.json, and return whether every goal holds."""
    print(f"\n{name}: {machine()}")
    for note in notes:
        print(f"  {note}")
    table = [("", "value", "spread", "against", "ratio", "goal", "")]
    for r in rows:
        table.append(
            (
                r.name,
                f"{r.value:,.4g} {r.unit}" if r.value < 1e4 else f"{r.value:,.0f} {r.unit}",
                "" if r.spread is None else f"±{r.spread:.0%}",
                r.against or "",
                "" if r.ratio is None else f"{r.ratio:.3g}",
                r.goal or "",
                {None: "", True: "holds", False: "DOES NOT HOLD"}[r.holds],
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    fields = ("name", "value", "unit", "against", "ratio", "goal", "holds")
    save(f"bench/{name}", [{field: getattr(r, field) for field in fields} for r in rows])
    return all(r.holds is not False for r in rows)

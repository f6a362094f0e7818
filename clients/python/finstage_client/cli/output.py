"""What the command prints: tables for people, one JSON document for machines."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from finstage_client.values import Coverage, Provenance, RowCounts
from finstage_market.errors import FinstageError, InvalidRequest, Reason

SIMULATED = "[bold black on yellow] simulated data (sim) [/]"


def out() -> Console:
    """The console of results. Where it is no terminal, a table is as wide as what it holds."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 250))


def err() -> Console:
    """The console of errors and progress."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def error_line(message: str) -> None:
    """Says on stderr, in one line, what went wrong."""
    err().print(f"[bold red]error:[/] {escape(' '.join(message.split()))}")


def told(error: FinstageError) -> str:
    """One line for people, with what would help."""
    line = error.message
    if error.reason is Reason.SERVICE_UNAVAILABLE and line.endswith("does not answer"):
        return f"{line}; start it with `make run`"
    if error.retry_after_s is not None:
        line += f"; try again in {error.retry_after_s:.0f} s"
    return line


def print_json(document: Mapping[Any, Any]) -> None:
    """The document on one line of stdout: dataclasses as objects, times in ISO 8601, numbers exact."""
    print(json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, FinstageError):
        error: dict[str, Any] = {"reason": value.reason, "message": value.message}
        if isinstance(value, InvalidRequest):
            error["violations"] = value.violations
        return error
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"no JSON for {type(value).__name__}")


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame by open_time as JSON objects, null for NaN."""
    times = _times(frame).strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = [[None if math.isnan(v) else v for v in frame[name].tolist()] for name in frame]
    names = ["open_time", *frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(times, *columns, strict=True)]


def frame_table(frame: pd.DataFrame, title: str) -> Table:
    """A frame by open_time as a table, with a column's numbers to one number of decimals."""
    table = Table(title=title, title_justify="left")
    times = _times(frame)
    intraday = bool((times.normalize() != times).any())
    table.add_column("open time (UTC)")
    for name in frame:
        table.add_column(str(name), justify="right")
    shown = times.strftime("%Y-%m-%d %H:%M" if intraday else "%Y-%m-%d")
    columns = [_numbers(frame[name].to_numpy(), whole=name == "volume") for name in frame]
    for row in zip(shown, *columns, strict=True):
        table.add_row(*row)
    return table


def _times(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return cast("pd.DatetimeIndex", frame.index)


def _numbers(values: np.ndarray[Any, np.dtype[np.float64]], *, whole: bool) -> list[str]:
    finite = np.abs(values[np.isfinite(values)])
    if whole and np.array_equal(finite, np.round(finite)):
        decimals = 0
    else:
        decimals = 4 if finite.size == 0 or finite.max() >= 1 else 8
    return ["" if math.isnan(value) else f"{value:,.{decimals}f}" for value in values.tolist()]


def number(value: float | None, decimals: int | None) -> str:
    """A price with its instrument's precision; empty for None."""
    return "" if value is None else f"{value:,.{2 if decimals is None else decimals}f}"


def moment(when: datetime | None) -> str:
    """A time to the second, UTC; empty for None."""
    return "" if when is None else when.strftime("%Y-%m-%d %H:%M:%S")


def source(provenance: Provenance) -> str:
    """Who gave the data; simulated data says so loudly."""
    named = "" if provenance.source == "sim" else escape(provenance.source)
    return f"{SIMULATED}{named}" if provenance.is_simulated else named


def series_note(attributes: Mapping[Any, Any]) -> str:
    """What stands under a table of a series: source, age, version, what is missing."""
    provenance: Provenance = attributes["provenance"]
    coverage: Coverage = attributes["coverage"]
    version = attributes["version"]
    parts = [
        f"source: {source(provenance)}",
        f"as of {moment(provenance.as_of)} UTC" if provenance.as_of else "",
        "[yellow]stale[/]" if provenance.cache == "STALE" else provenance.cache.lower(),
        f"epoch {version.epoch} revision {version.revision}",
        "" if attributes["last_is_final"] else "the last bar is still forming",
    ]
    lines = [" · ".join(part for part in parts if part)]
    if missing := [gap for gap in coverage.gaps if gap.reason != "MARKET_CLOSED"]:
        count, newest = len(missing) + coverage.gaps_left_out, missing[-1]
        lines.append(f"{counted(count, 'gap')}, the newest {moment(newest.start)}: {newest.reason}")
    if coverage.flags:
        flag = coverage.flags[-1]
        lines.append(
            f"{counted(len(coverage.flags), 'odd bar')}, the newest {moment(flag.open_time)}: {flag.reason}"
        )
    return "\n".join(lines)


def table(
    title: str, names: Sequence[str], cells: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> Table:
    """A table of text; the columns named in `right` are aligned there."""
    made = Table(title=title, title_justify="left")
    for name in names:
        made.add_column(name, justify="right" if name in right else "left")
    for row in cells:
        made.add_row(*row)
    return made


def progress(*columns: ProgressColumn, quiet: bool) -> Progress:
    """A progress bar on stderr, where that is a terminal; its tasks have a field `note`."""
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TextColumn("{task.fields[note]}"))
    console = err()
    off = quiet or not console.is_terminal
    return Progress(*shown, TimeRemainingColumn(), console=console, disable=off, transient=True)


def counts(rows: RowCounts) -> str:
    """Rows by what became of them."""
    counted = ("inserted", "updated", "unchanged", "rejected")
    return f"{rows.sent:,} rows: " + ", ".join(f"{getattr(rows, name):,} {name}" for name in counted)


def counted(number: int, noun: str) -> str:
    """1 job, 2 jobs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

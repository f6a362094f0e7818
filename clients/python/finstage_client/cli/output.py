"""What the command prints: aligned text for people, one JSON document for programs."""

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from finstage_client.cli.tables import Column, lines
from finstage_client.plain import plain
from finstage_client.values import FrameInfo, Gap, Provenance, RowCounts, SeriesInfo
from finstage_market.errors import FinstageError

if TYPE_CHECKING:
    import pandas as pd

SIMULATED_TEXT = "simulated data (sim)"
SIMULATED = f"[bold black on yellow] {SIMULATED_TEXT} [/]"

_GAPS_SHOWN = 10
# The digits of values that are all closer to 0 than this are significant digits.
_TINY = 1e-4


class _Out(Console):
    def on_broken_pipe(self) -> None:
        _end_quietly()


def out() -> Console:
    """Return the console of results. It never breaks a line: the terminal does."""
    return _Out(highlight=False, soft_wrap=True)


def err() -> Console:
    """Return the console of errors and progress."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def error_line(message: str) -> None:
    """Print one line on stderr that says what went wrong."""
    err().print(f"[bold red]error:[/] {escape(' '.join(message.split()))}")


def told(error: FinstageError) -> str:
    """Return one line for people, with when to try again where that is not at once."""
    wait_s = error.retry_after_s or 0.0
    return f"{error.message}; try again in {wait_s:.0f} s" if wait_s > 1 else error.message


def write(text: str) -> None:
    """Write to stdout. When its reader has gone (`| head`), end the process quietly."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _end_quietly()


def _end_quietly() -> None:
    # Python flushes stdout once more at the end; that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def print_json(document: Mapping[Any, Any]) -> None:
    """Print the document on one line: dataclasses as objects, times in ISO 8601, numbers with every digit."""
    text = json.dumps(plain(document), ensure_ascii=False, allow_nan=False)
    # JSON lets these through, and a terminal obeys them.
    write(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def print_table(
    title: str,
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    text: Sequence[str] = (),
) -> None:
    """Print a table under its title. `right` names the columns of numbers, `text` those of words."""
    cells = list(zip(*rows, strict=True)) or [()] * len(names)
    _print_columns(
        title,
        [Column(n, c, right=n in right, text=n in text) for n, c in zip(names, cells, strict=True)],
    )


def print_frame(frame: "pd.DataFrame", title: str) -> None:
    """Print a DataFrame by open time; all numbers of a column have as many decimals."""
    times = cast("pd.DatetimeIndex", frame.index)
    intraday = bool((times.normalize() != times).any())
    shown = times.strftime("%Y-%m-%d %H:%M" if intraday else "%Y-%m-%d").tolist()
    columns = [Column("open time (UTC)", shown)]
    for name in frame:
        values = _numbers(frame[name].to_numpy(), whole=name == "volume", grouped=out().is_terminal)
        columns.append(Column(str(name), values, right=True))
    _print_columns(title, columns)


def _print_columns(title: str, columns: Sequence[Column]) -> None:
    console = out()
    console.print(f"[bold]{escape(title)}[/]")
    if columns[0].cells:
        width = console.width if console.is_terminal else None
        write("\n".join(lines(columns, width)) + "\n")


def rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a DataFrame by open time as JSON objects, null for NaN."""
    times = cast("pd.DatetimeIndex", frame.index).strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = [[None if math.isnan(v) else v for v in frame[name].tolist()] for name in frame]
    names = ["open_time", *frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(times, *columns, strict=True)]


def _numbers(values: np.ndarray[Any, np.dtype[np.float64]], *, whole: bool, grouped: bool) -> list[str]:
    finite = np.abs(values[np.isfinite(values)])
    largest = finite.max(initial=0.0)
    if whole and np.array_equal(finite, np.round(finite)):
        form = ".0f"
    elif 0 < largest < _TINY:
        form = ".8g"
    else:
        form = ".4f" if largest >= 1 or largest == 0 else ".8f"
    form = f"{',' if grouped else ''}{form}"
    return ["" if math.isnan(value) else format(value, form) for value in values.tolist()]


def number(value: float | None, decimals: int | None) -> str:
    """Return a price with its instrument's precision; empty for None."""
    return "" if value is None else f"{value:,.{2 if decimals is None else decimals}f}"


def moment(when: datetime | None) -> str:
    """Return a time to the second, UTC; empty for None."""
    return "" if when is None else when.strftime("%Y-%m-%d %H:%M:%S")


def source(provenance: Provenance) -> str:
    """Return who gave the data; simulated data says so."""
    named = "" if provenance.source == "sim" else provenance.source
    return f"{SIMULATED_TEXT} {named}".rstrip() if provenance.is_simulated else named


def print_series_note(info: SeriesInfo | FrameInfo) -> None:
    """Print what stands under a table of a series: source, age, version, gaps and odd bars."""
    provenance, console = info.provenance, out()
    shown = escape(source(provenance)).replace(SIMULATED_TEXT, SIMULATED)
    parts = [
        f"source: {shown}",
        f"as of {moment(provenance.as_of)} UTC" if provenance.as_of else "",
        "[yellow]stale[/]" if provenance.cache == "STALE" else provenance.cache.lower(),
        f"epoch {info.version.epoch} revision {info.version.revision}",
        "" if info.last_is_final else "the last bar is still forming",
    ]
    console.print(" · ".join(part for part in parts if part))
    # Holidays are no news.
    missing = [gap for gap in info.coverage.gaps if gap.reason != "MARKET_CLOSED"]
    for gap in missing[-_GAPS_SHOWN:]:
        console.print(f"gap: {escape(_gap(gap))}")
    if older := len(missing[:-_GAPS_SHOWN]) + info.coverage.gaps_left_out:
        console.print(f"and {counted(older, 'older gap')}; --json lists them")
    if flags := info.coverage.flags:
        newest = f"{moment(flags[-1].open_time)}: {flags[-1].reason}"
        console.print(f"{counted(len(flags), 'odd bar')}, the newest {newest}")


def _gap(gap: Gap) -> str:
    bars = "" if gap.missing_bars is None else f", {counted(gap.missing_bars, 'bar')} missing"
    detail = f": {gap.detail}" if gap.detail else ""
    return f"{moment(gap.start)} to {moment(gap.end)} UTC{bars}, {gap.reason}{detail}"


def progress(*columns: ProgressColumn, quiet: bool) -> Progress:
    """Return a progress bar on stderr, shown where that is a terminal; its tasks have a field `note`."""
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TextColumn("{task.fields[note]}"))
    console = err()
    off = quiet or not console.is_terminal
    return Progress(*shown, TimeRemainingColumn(), console=console, disable=off, transient=True)


def counts(rows: RowCounts) -> str:
    """Return rows by what became of them."""
    counted = ("inserted", "updated", "unchanged", "rejected")
    return f"{rows.sent:,} rows: " + ", ".join(f"{getattr(rows, name):,} {name}" for name in counted)


def counted(number: int, noun: str) -> str:
    """Return "1 job", "2 jobs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

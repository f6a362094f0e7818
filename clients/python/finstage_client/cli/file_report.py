"""The report on a file: how it was read, and what became of its rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from finstage_barfile import BarFile, Guess, Unreadable, printable
from finstage_client.cli import output
from finstage_client.cli.file_write import FileWrite, source_of
from finstage_client.cli.output import out
from finstage_client.values import RowCounts
from finstage_market.errors import FinstageError

# Refused rows that are shown of a file. `finstage rejected` lists all that the service refused; those that
# could not be sent are listed nowhere else.
MAX_SHOWN = 10
MAX_UNSENT_SHOWN = 100

# The option that settles what a file does not tell, by the argument of barfile.read().
_OPTIONS = {
    "interval": "--interval",
    "time_zone": "--time-zone America/New_York, or UTC",
    "ticker": "--symbol, or --ticker where the file calls it something else",
    "decimal": "--decimal . or --decimal ,",
    "date_format": "--date-format, such as %d/%m/%Y",
    "columns": "--columns time,open,high,low,close,volume in the file's order",
    "encoding": "--encoding, such as latin-1 or utf-16",
    "no_volume": "--no-volume, or --map volume=COLUMN",
    "prices": "--prices raw or --prices adjusted",
    "price_scale": "--price-scale, such as 1",
}


def told(error: Unreadable) -> str:
    """Return one line for people, with the option that would help."""
    return f"{error}; say which with {_option(error)}" if error.settled_by else str(error)


def _option(doubt: Unreadable | Guess) -> str:
    if doubt.settled_by != "column_names":
        return _OPTIONS[doubt.settled_by]
    mapped = " ".join(f"--map {field}=COLUMN" for field in doubt.fields)
    return (
        f"{mapped}, or --no-volume" if isinstance(doubt, Unreadable) and "volume" in doubt.fields else mapped
    )


def show_reading(write: FileWrite) -> None:
    """Show how the file was read."""
    bars = write.bars
    # pandas writes an index without a name as a first column without one.
    named = ", ".join(f"{field}={name or '(the first column)'}" for field, name in bars.column_names.items())
    absent = "" if "volume" in bars.column_names else "; no volume: 0"
    ignored = f"; ignored: {', '.join(bars.ignored)}" if bars.ignored else ""
    lines = [f"columns: {named}{absent}{ignored}", f"times: {bars.times}"]
    if bars.decimal == ",":
        lines.append("numbers: decimal comma")
    if bars.ticker:
        lines.append(f"ticker: {bars.ticker}")
    if bars.passed_over:
        lines.append(f"passed over: {_passed_over(bars.passed_over)}")
    if write.bars.closes_less_dividends is not None and "adjusted_close" not in bars.column_names:
        lines.append("adjusted closes: computed from the file's dividends")
    out().print(f"[bold]{_safe(write.path.name)}[/] to {_safe(write.symbol)} {bars.interval}", soft_wrap=True)
    for line in (*lines, *bars.notes):
        out().print(f"  {_safe(line)}", soft_wrap=True)
    for guess in bars.guesses:
        line = f"guessed: {guess.text}; say it with {_option(guess)}"
        out().print(f"  [yellow]{_safe(line)}[/]", soft_wrap=True)


def _safe(text: str) -> str:
    """Text of a file for the terminal: without markup and control characters."""
    return escape(printable(text))


def _passed_over(counts: Mapping[str, int]) -> str:
    first = [f"{output.counted(count, 'row')} of {ticker or 'none'}" for ticker, count in counts.items()][
        :MAX_SHOWN
    ]
    left = list(counts.values())[MAX_SHOWN:]
    if left:
        first.append(f"{output.counted(sum(left), 'row')} of {len(left):,} others")
    return ", ".join(first)


def report(write: FileWrite, failure: FinstageError | None) -> dict[str, Any]:
    """Return what became of the file's rows, for programs; where the write failed, up to the failure."""
    bars, written = write.bars, write.progress
    unsent = len(bars.refused)
    rows = written.rows + RowCounts(unsent, 0, 0, 0, unsent)
    refused = [
        {bars.row_name: each.row, "reason": f"UNREADABLE_{each.what.upper()}", "detail": each.reason}
        for each in bars.refused
    ]
    refused += [
        {
            bars.row_name: int(bars.rows[each.row]),
            "reason": each.reason,
            "detail": f"{each.detail}: {each.values}" if each.values else each.detail,
        }
        for each in written.rejected
    ]
    return {
        "file": str(write.path),
        "error": failure,
        "source": write.source,
        "symbol": write.symbol,
        "interval": bars.interval,
        "columns": bars.column_names,
        "times": bars.times,
        "decimal": bars.decimal,
        "ticker": bars.ticker,
        "passed_over": bars.passed_over,
        "notes": bars.notes,
        "guesses": [{"text": each.text, "say_it_with": _option(each)} for each in bars.guesses],
        "events": bars.events,
        "ignored": bars.ignored,
        "rows": {
            name: getattr(rows, name) for name in ("sent", "inserted", "updated", "unchanged", "rejected")
        },
        "written_before": written.resumed,
        "sent_now": written.rows.sent - written.resumed,
        "version": written.version,
        "rejected": sorted(refused, key=lambda each: each[bars.row_name]),
    }


def show_rows(report: Mapping[str, Any], bars: BarFile) -> None:
    """Show what became of the file's rows."""
    rows, before = RowCounts(**report["rows"]), report["written_before"]
    if before and not report["sent_now"]:
        source = report["source"]
        named = "" if source == source_of(Path(report["file"])) else f", as {_safe(source)}"
        line = (
            f"[yellow]this file was written before{named}, and nothing was sent now[/]; --again sends it anew"
        )
        out().print(f"  {line}", soft_wrap=True)
        out().print(f"  that write: {output.counts(rows)}")
    else:
        out().print(f"  {output.counts(rows)}")
        if before:
            out().print(f"  {before:,} of them were written by an earlier run, and not sent again")
    places = {each.row for each in bars.refused}
    unsent = [each for each in report["rejected"] if each[bars.row_name] in places]
    refused = [each for each in report["rejected"] if each[bars.row_name] not in places]
    _show_refused(refused[:MAX_SHOWN], bars.row_name)
    if left := rows.rejected - len(unsent) - len(refused[:MAX_SHOWN]):
        out().print(f"  and {left:,} more: finstage rejected --source {_safe(report['source'])}")
    if unsent:
        out().print(f"  {output.counted(len(unsent), 'row')} could not be read, and so not be sent:")
        _show_refused(unsent[:MAX_UNSENT_SHOWN], bars.row_name)
    if left := len(unsent[MAX_UNSENT_SHOWN:]):
        out().print(f"  and {left:,} more; --json lists all")


def _show_refused(rows: Sequence[Mapping[str, Any]], row_name: str) -> None:
    for each in rows:
        line = f"{row_name} {each[row_name]}[/]: {each['reason']}: {_safe(each['detail'])}"
        out().print(f"  [red]{line}", soft_wrap=True)

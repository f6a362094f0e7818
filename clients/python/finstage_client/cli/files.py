"""ingest, rejected: bars from files, and the rows that were refused."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import typer
from rich.markup import escape
from rich.progress import Progress, TaskProgressColumn

from finstage_client.cli import output
from finstage_client.cli.market import IntervalOption, Json, symbol_of
from finstage_client.cli.output import error_line, out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.upload import BATCH_ROWS, Upload, WriteProgress
from finstage_client.values import RowCounts
from libs import barfile
from libs.barfile import BarFile
from libs.market.interval import Interval

# Rows that are shown of a file: of those that the service refused, which `finstage rejected` has all, and of
# those that could not be sent, which nothing else tells of.
_SHOWN = 10
_UNSENT_SHOWN = 100


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (ingest, rejected):
        app.command()(command)


def _column(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if not (field and equals and name):
        raise typer.BadParameter(f"{text!r} is not FIELD=COLUMN")
    if field not in barfile.FIELDS:
        raise typer.BadParameter(f"{text!r}: {field!r} is none of {', '.join(barfile.FIELDS)}")
    return field, name


def _zone(text: str) -> ZoneInfo:
    try:
        return barfile.zone_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV (also .csv.gz) with a header, or Parquet.")
    ],
    symbol: Annotated[str, typer.Option(parser=symbol_of, metavar="SYMBOL", help="To write them to.")],
    interval: IntervalOption = Interval.D1,
    columns: Annotated[
        list[Any],
        typer.Option(
            "--map",
            parser=_column,
            metavar="FIELD=COLUMN",
            help=f"The file's column for one of {', '.join(barfile.FIELDS)}; guessed where it is not given.",
        ),
    ] = [],  # noqa: B006  # typer copies it
    time_zone: Annotated[
        ZoneInfo | None,
        typer.Option(
            parser=_zone,
            metavar="ZONE",
            help="The zone of times that name none: UTC, America/New_York. [default for dates: UTC]",
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="upsert; insert: a bar that is there is rejected; update: one that is not.")
    ] = "upsert",
    again: Annotated[
        bool, typer.Option("--again", help="Send files too that were written before, from their first row.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Writes bars from CSV and Parquet files. A file that was broken off continues where it was."""
    targets: Targets = context.obj
    reports, unread = [], 0
    with targets.client() as client:
        for path in files:
            bars = _read(path, dict(columns), time_zone, interval)
            if bars is None:
                unread += 1
                continue
            if not as_json:
                _show_mapping(path, bars, symbol, interval)
            upload = Upload(
                bars.columns,
                symbol=symbol,
                interval=interval,
                source=f"file:{path.name}",
                idempotency_key=_key(path, symbol, interval, bars, mode)
                + (f":{uuid4().hex}" if again else ""),
                mode=mode,
                adjusted_close=bars.adjusted_close,
            )
            with output.progress(TaskProgressColumn(), quiet=as_json) as progress:
                task = progress.add_task(path.name, total=len(bars.columns), note="")
                written = client.write(upload, _updater(progress, task))
            report = _report(path, bars, symbol, interval, written)
            reports.append(report)
            if not as_json:
                _show(report, bars)
    if as_json:
        print_json({"files": reports})
    if unread or any(report["rows"]["rejected"] == report["rows"]["sent"] for report in reports):
        raise typer.Exit(1)


def _read(
    path: Path, mapping: Mapping[str, str], time_zone: ZoneInfo | None, interval: Interval
) -> BarFile | None:
    """The bars of the file; where it has none, says why in one line, with what would help."""
    try:
        return barfile.read(path, mapping=mapping, interval=interval, time_zone=time_zone)
    except barfile.Unreadable as error:
        told = f"{path}: {error}"
        if isinstance(error, barfile.NoColumn):
            told += f"; say which with {' '.join(f'--map {field}=COLUMN' for field in error.fields)}"
        if isinstance(error, barfile.NoZone):
            told += "; say which with --time-zone America/New_York, or UTC"
        error_line(told)
        return None


def _updater(progress: Progress, task: Any) -> Callable[[WriteProgress], None]:
    return lambda now: progress.update(task, completed=now.rows.sent, note=f"{now.rows.rejected:,} rejected")


def _key(path: Path, symbol: str, interval: Interval, bars: BarFile, mode: str) -> str:
    """The same for the same content, written the same way."""
    how = [symbol, interval, sorted(bars.mapping.items()), bars.times, BATCH_ROWS, mode.lower()]
    digest = hashlib.sha256(json.dumps(how).encode())
    digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _show_mapping(path: Path, bars: BarFile, symbol: str, interval: Interval) -> None:
    # pandas writes an index without a name as a first column without one.
    mapping = ", ".join(f"{field}={name or '(the first column)'}" for field, name in bars.mapping.items())
    absent = "" if "volume" in bars.mapping else "; no volume: 0"
    ignored = f"; ignored: {', '.join(bars.ignored)}" if bars.ignored else ""
    out().print(f"[bold]{escape(path.name)}[/] to {escape(symbol)} {interval}", soft_wrap=True)
    out().print(f"  columns: {escape(mapping + absent + ignored)}", soft_wrap=True)
    out().print(f"  times: {escape(bars.times)}", soft_wrap=True)


def _report(
    path: Path, bars: BarFile, symbol: str, interval: Interval, written: WriteProgress
) -> dict[str, Any]:
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
        "file": str(path),
        "source": f"file:{path.name}",
        "symbol": symbol,
        "interval": interval,
        "mapping": bars.mapping,
        "times": bars.times,
        "ignored": bars.ignored,
        "rows": {
            name: getattr(rows, name) for name in ("sent", "inserted", "updated", "unchanged", "rejected")
        },
        "written_before": written.resumed,
        "sent_now": written.rows.sent - written.resumed,
        "version": written.version,
        "rejected": sorted(refused, key=lambda each: each[bars.row_name]),
    }


def _show(report: Mapping[str, Any], bars: BarFile) -> None:
    rows, before = RowCounts(**report["rows"]), report["written_before"]
    if before and not report["sent_now"]:
        out().print(
            "  [yellow]this file was written before, and nothing was sent now[/]; --again sends it anew"
        )
        out().print(f"  that write: {output.counts(rows)}")
    else:
        out().print(f"  {output.counts(rows)}")
        if before:
            out().print(f"  {before:,} of them were written by an earlier run, and not sent again")
    places = {each.row for each in bars.refused}
    unsent = [each for each in report["rejected"] if each[bars.row_name] in places]
    refused = [each for each in report["rejected"] if each[bars.row_name] not in places]
    _show_rows(refused[:_SHOWN], bars.row_name)
    if left := rows.rejected - len(unsent) - len(refused[:_SHOWN]):
        out().print(f"  and {left:,} more: finstage rejected --source {escape(report['source'])}")
    if unsent:
        out().print(f"  {output.counted(len(unsent), 'row')} could not be read, and so not be sent:")
        _show_rows(unsent[:_UNSENT_SHOWN], bars.row_name)
    if left := len(unsent[_UNSENT_SHOWN:]):
        out().print(f"  and {left:,} more; --json lists all")


def _show_rows(rows: Sequence[Mapping[str, Any]], row_name: str) -> None:
    for each in rows:
        line = f"{row_name} {each[row_name]}[/]: {each['reason']}: {escape(each['detail'])}"
        out().print(f"  [red]{line}", soft_wrap=True)


def rejected(
    context: typer.Context,
    symbol: Annotated[
        str | None, typer.Option(parser=symbol_of, metavar="SYMBOL", help="Only of this symbol.")
    ] = None,
    interval: Annotated[Interval | None, typer.Option("--interval", "-i", help="Only of this one.")] = None,
    source: Annotated[str, typer.Option(help="Only of this sender: file:prices.csv, yahoo.")] = "",
    limit: Annotated[int, typer.Option(help="The newest N.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Rows that were refused, the newest first, with the reason of each."""
    targets: Targets = context.obj
    with targets.client() as client:
        rows = client.rejected_bars(symbol=symbol or "", interval=interval, source=source)
        found = list(itertools.islice(rows, limit))
    if as_json:
        print_json({"rejected": found})
        return
    cells = [
        (
            escape(each.symbol),
            each.interval or "",
            str(np.datetime64(each.open_time_ms, "ms")),
            str(each.row),
            each.reason,
            escape(each.detail),
            escape(each.values),
            escape(each.source),
            output.moment(each.rejected_at),
        )
        for each in found
    ]
    names = ("symbol", "interval", "open time (UTC)", "row", "reason", "detail", "values", "source")
    table = output.table(
        output.counted(len(cells), "refused row"), (*names, "refused (UTC)"), cells, right=("row",)
    )
    out().print(table)

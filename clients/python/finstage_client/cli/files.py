"""ingest, rejected: bars from files, and the rows that were refused."""

import codecs
import functools
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
import typer
from rich.markup import escape
from rich.progress import Progress, TaskProgressColumn

import finstage_barfile as barfile
from finstage_barfile import BarFile, printable
from finstage_client.cli import file_report, output
from finstage_client.cli.file_write import FileWrite
from finstage_client.cli.market import Json, one_of, symbol_of
from finstage_client.cli.output import error_line, print_json
from finstage_client.cli.targets import Targets
from finstage_client.sync import Client
from finstage_client.upload import WriteProgress
from finstage_market.errors import FinstageError
from finstage_market.interval import Interval

SOME_REFUSED = 3


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, rejected):
        app.command()(command)


def _column(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if not (field and equals and name):
        raise typer.BadParameter(f"{text!r} is not FIELD=COLUMN")
    if field not in barfile.FIELDS:
        raise typer.BadParameter(f"{text!r}: {field!r} is not one of {', '.join(barfile.FIELDS)}")
    return field, name


def _zone(text: str) -> ZoneInfo:
    try:
        return barfile.zone_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _date_format(text: str) -> str:
    """Return a format that reads what it writes."""
    day = datetime(2024, 1, 31, tzinfo=UTC)
    try:
        is_one = "%" in text and datetime.strptime(day.strftime(text), text).year == day.year
    except ValueError:
        is_one = False
    if not is_one:
        raise typer.BadParameter(f"{text!r} is not a date format, such as %d/%m/%Y")
    return text


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise typer.BadParameter(f"{text!r} is not an encoding, such as utf-8, utf-16 or latin-1") from None


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) < 2:
        raise typer.BadParameter(
            f"{text!r} is not a list of columns, such as time,open,high,low,close,volume"
        )
    return names


def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV, JSON lines, Parquet, Arrow or .xlsx, also packed (.gz, .zip, …); - is stdin.",
        ),
    ],
    symbol: Annotated[
        str,
        typer.Option(
            parser=symbol_of,
            metavar="SYMBOL",
            help="The symbol to write to. In a file with several symbols, also the one to read.",
        ),
    ],
    interval: Annotated[
        Interval | None,
        typer.Option("--interval", "-i", help="What one bar covers. [default: as far as its bars are apart]"),
    ] = None,
    named: Annotated[
        list[Any],
        typer.Option(
            "--map",
            parser=_column,
            metavar="FIELD=COLUMN",
            help=f"The file's column for one of {', '.join(barfile.FIELDS)}; guessed where it is not given. "
            "time=DATE+TIME where the time of day has its own.",
        ),
    ] = [],  # noqa: B006  # typer copies it
    columns: Annotated[
        Any,
        typer.Option(
            parser=_names,
            metavar="NAMES",
            help="The columns of a file without a header: time,open,high,low,close,volume.",
        ),
    ] = None,
    time_zone: Annotated[
        ZoneInfo | None,
        typer.Option(
            parser=_zone,
            metavar="ZONE",
            help="The zone of times that name none: UTC, America/New_York.",
        ),
    ] = None,
    date_format: Annotated[
        str | None,
        typer.Option(
            parser=_date_format,
            metavar="FORMAT",
            help="How times are written, %d/%m/%Y %H:%M %z. [default: as fits, 01/02/2024 month first]",
        ),
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(
            parser=one_of(*barfile.DECIMALS),
            metavar="SIGN",
            help="The decimal sign, . or a comma. [default: as all numbers of the file tell it]",
        ),
    ] = None,
    ticker: Annotated[
        str, typer.Option(help="What the file calls SYMBOL, where that is something else: BRK.B for BRK-B.")
    ] = "",
    skip_rows: Annotated[int, typer.Option(help="Lines above the table.", min=0)] = 0,
    encoding: Annotated[
        str | None,
        typer.Option(
            parser=_encoding, metavar="NAME", help="Of its text. [default: by its first bytes, else utf-8]"
        ),
    ] = None,
    no_volume: Annotated[bool, typer.Option("--no-volume", help="It has no volume: 0 is written.")] = False,
    prices: Annotated[
        str | None,
        typer.Option(
            parser=one_of(*barfile.PRICES_ARE),
            metavar="KIND",
            help="raw, or adjusted for the splits that it lists. [default: as its closes tell it]",
        ),
    ] = None,
    price_scale: Annotated[
        float | None,
        typer.Option(min=1e-12, help="Multiply every price by this: 0.0001. [default: 1]"),
    ] = None,
    stamp: Annotated[
        str,
        typer.Option(
            parser=one_of(*barfile.STAMPS),
            metavar="MOMENT",
            help="start or end: which moment of a bar its time is.",
        ),
    ] = "start",
    mode: Annotated[
        str,
        typer.Option(
            parser=one_of("upsert", "insert", "update"),
            metavar="MODE",
            help="upsert; insert: a bar that is there is rejected; update: one that is not.",
        ),
    ] = "upsert",
    again: Annotated[
        bool, typer.Option("--again", help="Send files too that were written before, from their first row.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the bars of files. A write that was interrupted continues where it stopped.

    Exits with 0 when all rows are in, 1 when a file failed or none of its rows is in, 2 for a wrong call, 3
    when some rows were refused.
    """
    targets: Targets = context.obj
    read = functools.partial(
        barfile.read,
        column_names=dict(named),
        interval=interval,
        time_zone=time_zone,
        ticker=ticker or symbol,
        decimal=decimal,
        date_format=date_format,
        columns=columns,
        skip_rows=skip_rows,
        encoding=encoding,
        no_volume=no_volume,
        prices=prices,
        price_scale=price_scale,
        stamp=stamp,
    )
    reports = []
    with targets.client() as client:
        for path in files:
            write = functools.partial(FileWrite, path, symbol=symbol, mode=mode, again=again)
            reports.append(_ingested(client, path, read, write, quiet=as_json))
    if as_json:
        print_json({"files": reports})
    rows = [report["rows"] for report in reports if not report["error"]]
    if len(rows) < len(reports) or any(each["rejected"] == each["sent"] for each in rows):
        raise typer.Exit(1)
    if any(each["rejected"] for each in rows):
        raise typer.Exit(SOME_REFUSED)


def _ingested(
    client: Client,
    path: Path,
    read: Callable[[Path], BarFile],
    write_of: Callable[[BarFile], FileWrite],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Write one file, show how that went unless `quiet`, and return its report."""
    try:
        bars = read(path)
    except barfile.Unreadable as error:
        told = file_report.told(error)
        error_line(printable(f"{path}: {told}"))
        return {"file": str(path), "error": {"reason": "UNREADABLE", "message": told}}
    write = write_of(bars)
    if not quiet:
        file_report.show_reading(write)
    failure = None
    with output.progress(TaskProgressColumn(), quiet=quiet) as progress:
        task = progress.add_task(escape(printable(path.name)), total=len(bars.bars), note="")
        try:
            write.run(client, _updater(progress, task))
        except FinstageError as error:
            failure = error
    report = file_report.report(write, failure)
    if failure is not None:
        error_line(printable(f"{path}: {output.told(failure)}"))
    elif not quiet:
        file_report.show_rows(report, bars)
    return report


def _updater(progress: Progress, task: Any) -> Callable[[WriteProgress], None]:
    return lambda now: progress.update(task, completed=now.rows.sent, note=f"{now.rows.rejected:,} rejected")


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
    """List refused rows, the newest first, with the reason of each."""
    targets: Targets = context.obj
    with targets.client() as client:
        rows = client.rejected_bars(symbol=symbol or "", interval=interval, source=source)
        found = list(itertools.islice(rows, limit))
    if as_json:
        print_json({"rejected": found})
        return
    cells = [
        (
            each.symbol,
            each.interval,
            str(np.datetime64(each.open_time_ms, "ms")),
            str(each.row),
            each.reason,
            printable(each.detail),
            printable(each.values),
            printable(each.source),
            output.moment(each.rejected_at),
        )
        for each in found
    ]
    names = ("symbol", "interval", "open time (UTC)", "row", "reason", "detail", "values", "source")
    output.print_table(
        output.counted(len(cells), "refused row"),
        (*names, "refused (UTC)"),
        cells,
        right=("row",),
        text=("detail", "values", "source"),
    )

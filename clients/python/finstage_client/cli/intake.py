"""backfill, jobs, ingest, status: what concerns the bringing in of data, and how the services are."""

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from finstage_client.calls import Service
from finstage_client.cli import output
from finstage_client.cli.market import End, IntervalOption, Json, Start
from finstage_client.cli.output import err, error_line, out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.upload import BATCH_ROWS, Upload, WriteProgress
from finstage_client.values import Job, ProviderStatus, RowCounts
from libs import barfile
from libs.barfile import BarFile
from libs.market.errors import FinstageError
from libs.market.interval import Interval

# Rows refused that are shown of a file; ListRejectedBars has all.
_SHOWN = 10


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


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (backfill, jobs, ingest, status):
        app.command()(command)


def backfill(
    context: typer.Context,
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...")],
    intervals: Annotated[
        list[Interval] | None, typer.Option("--interval", "-i", help="May be repeated. [default: 1d]")
    ] = None,
    start: Start = None,
    end: End = None,
    as_json: Json = False,
) -> None:
    """Brings series in from the provider, and shows how it goes."""
    targets: Targets = context.obj
    with targets.client() as client:
        job = client.backfill(symbols, intervals or [Interval.D1], start=start, end=end)
        job = follow(job, client.watch_job(job.id), quiet=as_json)
    if as_json:
        print_json({"job": job})
    else:
        out().print(f"job {job.id} {job.state.lower()}: {_counts(job.rows)}")
    for failure in job.failures:
        error_line(f"{failure.symbol}/{failure.interval}: {failure.error}")
    if job.state != "SUCCEEDED":
        raise typer.Exit(1)


def follow(job: Job, updates: Iterable[Job], *, quiet: bool = False) -> Job:
    """The last of the updates of `job`, with a progress bar on stderr until then."""
    with _progress(quiet, MofNCompleteColumn()) as progress:
        task = progress.add_task("backfill", total=job.chunks_total or None, note="")
        for now in updates:
            job = now
            done = job.chunks_done + job.chunks_failed
            progress.update(
                task, total=job.chunks_total or None, completed=done, note=f"{job.rows.sent:,} rows"
            )
    return job


def _progress(quiet: bool, *columns: Any) -> Progress:
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TextColumn("{task.fields[note]}"))
    console = err()
    off = quiet or not console.is_terminal
    return Progress(*shown, TimeRemainingColumn(), console=console, disable=off, transient=True)


def _counts(rows: RowCounts) -> str:
    counted = ("inserted", "updated", "unchanged", "rejected")
    return f"{rows.sent:,} rows: " + ", ".join(f"{getattr(rows, name):,} {name}" for name in counted)


def jobs(context: typer.Context, limit: int = 20, as_json: Json = False) -> None:
    """The newest backfill jobs."""
    targets: Targets = context.obj
    with targets.client() as client:
        found = client.jobs(limit=limit)
    if as_json:
        print_json({"jobs": found})
        return
    cells = [
        (
            job.id,
            job.state.lower(),
            f"{job.chunks_done}/{job.chunks_total}",
            str(job.chunks_failed),
            f"{job.rows.sent:,}",
            escape(", ".join(job.symbols[:5]) + ("…" if len(job.symbols) > 5 else "")),
            ", ".join(job.intervals),
            output.moment(job.created_at),
        )
        for job in found
    ]
    names = ("id", "state", "chunks", "failed", "rows", "symbols", "intervals", "created (UTC)")
    out().print(output.table(f"{len(cells)} jobs", names, cells, right=("chunks", "failed", "rows")))


def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV (also .csv.gz) with a header, or Parquet.")
    ],
    symbol: Annotated[str, typer.Option(help="The symbol to write them to.")],
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
    as_json: Json = False,
) -> None:
    """Writes bars from CSV and Parquet files. A file that was broken off continues where it was."""
    targets: Targets = context.obj
    reports = []
    with targets.client() as client:
        for path in files:
            bars = _read(path, dict(columns), time_zone, interval)
            if not as_json:
                _show_mapping(path, bars, symbol, interval)
            upload = Upload(
                bars.columns,
                symbol=symbol,
                interval=interval,
                source=f"file:{path.name}",
                idempotency_key=_key(path, symbol, interval, bars),
                adjusted_close=bars.adjusted_close,
            )
            with _progress(as_json, TaskProgressColumn()) as progress:
                task = progress.add_task(path.name, total=len(bars.columns), note="")
                written = client.write(upload, _updater(progress, task))
            report = _report(path, bars, symbol, interval, written)
            reports.append(report)
            if not as_json:
                _show(report, bars)
    if as_json:
        print_json({"files": reports})
    if any(report["rows"]["rejected"] == report["rows"]["sent"] for report in reports):
        raise typer.Exit(1)


def _read(path: Path, mapping: Mapping[str, str], time_zone: ZoneInfo | None, interval: Interval) -> BarFile:
    """The bars of the file; where it has none, says why in one line, with what would help, and exits."""
    try:
        return barfile.read(path, mapping=mapping, time_zone=time_zone, intraday=interval.is_intraday)
    except barfile.Unreadable as error:
        told = f"{path}: {error}"
        if isinstance(error, barfile.NoColumn):
            told += f"; say which with {' '.join(f'--map {field}=COLUMN' for field in error.fields)}"
        if isinstance(error, barfile.NoZone):
            told += "; say which with --time-zone America/New_York, or UTC"
        error_line(told)
        raise typer.Exit(1) from None


def _updater(progress: Progress, task: Any) -> Callable[[WriteProgress], None]:
    return lambda now: progress.update(task, completed=now.rows.sent, note=f"{now.rows.rejected:,} rejected")


def _key(path: Path, symbol: str, interval: Interval, bars: BarFile) -> str:
    """The same for the same content, written the same way."""
    how = [symbol.upper(), interval, sorted(bars.mapping.items()), bars.times, BATCH_ROWS]
    digest = hashlib.sha256(json.dumps(how).encode())
    digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _show_mapping(path: Path, bars: BarFile, symbol: str, interval: Interval) -> None:
    # pandas writes an index without a name as a first column without one.
    mapping = ", ".join(f"{field}={name or '(the first column)'}" for field, name in bars.mapping.items())
    absent = "" if "volume" in bars.mapping else "; no volume: 0"
    ignored = f"; ignored: {', '.join(bars.ignored)}" if bars.ignored else ""
    out().print(f"[bold]{escape(path.name)}[/] to {escape(symbol.upper())} {interval}", soft_wrap=True)
    out().print(f"  columns: {escape(mapping + absent + ignored)}", soft_wrap=True)
    out().print(f"  times: {escape(bars.times)}", soft_wrap=True)


def _report(
    path: Path, bars: BarFile, symbol: str, interval: Interval, written: WriteProgress
) -> dict[str, Any]:
    unreadable = len(bars.refused)
    rows = written.rows + RowCounts(unreadable, 0, 0, 0, unreadable)
    refused = [
        {bars.row_name: each.row, "reason": "UNREADABLE_TIME", "detail": each.reason} for each in bars.refused
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
        "symbol": symbol.upper(),
        "interval": interval,
        "mapping": bars.mapping,
        "times": bars.times,
        "ignored": bars.ignored,
        "rows": {
            name: getattr(rows, name) for name in ("sent", "inserted", "updated", "unchanged", "rejected")
        },
        "written_before": written.resumed,
        "version": written.version,
        "rejected": sorted(refused, key=lambda each: each[bars.row_name]),
    }


def _show(report: Mapping[str, Any], bars: BarFile) -> None:
    out().print(f"  {_counts(RowCounts(**report['rows']))}")
    if report["written_before"]:
        out().print(
            f"  {report['written_before']:,} of them were written by an earlier run, and not sent again"
        )
    for each in report["rejected"][:_SHOWN]:
        out().print(
            f"  [red]{bars.row_name} {each[bars.row_name]}[/]: {each['reason']}: {escape(each['detail'])}",
            soft_wrap=True,
        )
    left = report["rows"]["rejected"] - min(len(report["rejected"]), _SHOWN)
    if left > 0:
        out().print(f"  and {left:,} more rejected")


def status(context: typer.Context, as_json: Json = False) -> None:
    """How the services and the providers are."""
    targets: Targets = context.obj
    names: tuple[Service, ...] = get_args(Service)
    with targets.client() as client:
        health = {name: _attempt(functools.partial(client.health, name)) for name in names}
        upstream = _attempt(client.upstream_status)
        catalogue = _attempt(client.indicators)
    versions = {"finstage": importlib.metadata.version("finstage")}
    if not isinstance(catalogue, FinstageError):
        versions["engine"] = catalogue.engine
    providers = [] if isinstance(upstream, FinstageError) else upstream
    services = [{"service": n, "target": getattr(targets, n), "health": health[n]} for n in names]
    if as_json:
        print_json({"services": services, "providers": providers, "versions": versions})
    else:
        cells = [(n, getattr(targets, n), _health(health[n])) for n in names]
        out().print(output.table("Services", ("service", "target", "health"), cells))
        out().print(" · ".join(f"{name} {version}" for name, version in versions.items()))
        if providers:
            out().print(_providers(providers))
    if any(each != "SERVING" for each in health.values()):
        raise typer.Exit(1)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FinstageError as error:
        return error


def _health(found: str | FinstageError) -> str:
    if isinstance(found, FinstageError):
        return f"[red]{escape(found.message)}[/]"
    return f"[green]{found}[/]" if found == "SERVING" else f"[red]{found}[/]"


def _providers(providers: list[ProviderStatus]) -> Any:
    cells = [
        (
            output.SIMULATED if each.provider == "sim" else escape(each.provider),
            f"{each.rate_per_s:g} of {each.max_rate_per_s:g}",
            each.breaker.lower(),
            f"{each.in_flight} of {each.max_in_flight}",
            f"{each.retry_budget:g}",
            "" if each.retry_after is None else f"{each.retry_after:.0f} s",
            ", ".join(f"{name} {count}" for name, count in sorted(each.outcomes.items())),
        )
        for each in providers
    ]
    names = ("provider", "requests/s", "breaker", "in flight", "retries left", "told to wait", "outcomes")
    return output.table("Upstream", names, cells)

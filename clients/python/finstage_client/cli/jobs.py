"""backfill, jobs, job: bringing series in from the provider."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn

from finstage_client.cli import output
from finstage_client.cli.market import End, Json, Start, symbol_of
from finstage_client.cli.output import error_line, out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.values import Job
from finstage_market.interval import Interval


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (backfill, jobs, job):
        app.command()(command)


def backfill(
    context: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(parser=symbol_of, metavar="[SYMBOL...]")] = None,
    intervals: Annotated[
        list[Interval] | None, typer.Option("--interval", "-i", help="May be repeated. [default: 1d]")
    ] = None,
    universe: Annotated[
        str, typer.Option(help="A list of symbols that ingest has under this name, instead of SYMBOL...")
    ] = "",
    start: Start = None,
    end: End = None,
    idempotency_key: Annotated[
        str,
        typer.Option(
            help="A name for this request: given again, it follows the same job, and tries again what failed."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring series in from the provider, with progress."""
    if bool(symbols) == bool(universe):
        raise typer.BadParameter("give either SYMBOL... or --universe NAME")
    targets: Targets = context.obj
    with targets.client() as client:
        job = client.backfill(
            symbols or (),
            intervals or [Interval.D1],
            start=start,
            end=end,
            universe=universe,
            idempotency_key=idempotency_key,
        )
        job = follow(job, client.watch_job(job.id), quiet=as_json)
    _show(job, as_json=as_json)


def follow(job: Job, updates: Iterable[Job], *, quiet: bool = False) -> Job:
    """Return the last of the updates of `job`, with a progress bar on stderr until then."""
    with output.progress(MofNCompleteColumn(), quiet=quiet) as progress:
        task = progress.add_task("backfill", total=job.chunks_total or None, note="")
        for now in updates:
            job = now
            done = job.chunks_done + job.chunks_failed
            progress.update(
                task, total=job.chunks_total or None, completed=done, note=f"{job.rows.sent:,} rows"
            )
    return job


def _show(job: Job, *, as_json: bool) -> None:
    """Print the outcome of a job; exit with 1 unless it succeeded."""
    if as_json:
        print_json({"job": job})
    else:
        out().print(f"job {job.id} {job.state.lower()}: {output.counts(job.rows)}")
    for failure in job.failures:
        error_line(f"{failure.symbol}/{failure.interval}: {failure.error}")
    if job.state != "SUCCEEDED":
        raise typer.Exit(1)


def jobs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="The newest N, at most 200.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Print the newest backfill jobs."""
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
            ", ".join(job.symbols[:5])
            + (f" and {len(job.symbols) - 5} more" if len(job.symbols) > 5 else ""),
            ", ".join(job.intervals),
            output.moment(job.created_at),
        )
        for job in found
    ]
    names = ("id", "state", "chunks", "failed", "rows", "symbols", "intervals", "created (UTC)")
    output.print_table(
        output.counted(len(cells), "job"),
        names,
        cells,
        right=("chunks", "failed", "rows"),
        text=("symbols", "intervals"),
    )


def job(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As `finstage jobs` shows it.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="End it; what it has committed stays.")] = False,
    as_json: Json = False,
) -> None:
    """Follow one backfill job to its end."""
    targets: Targets = context.obj
    with targets.client() as client:
        found = client.cancel_job(job_id) if cancel else client.job(job_id)
        found = follow(found, client.watch_job(job_id), quiet=as_json)
    _show(found, as_json=as_json)

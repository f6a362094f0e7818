"""One run of the whole system, from the checks to Ctrl-C."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console

from finstage_client.cli.jobs import follow
from finstage_client.sync import Client
from finstage_client.up.plan import HOST, Ports, check_ports, checkout, log_folder, parts
from finstage_client.up.processes import Children
from finstage_client.up.screen import show
from finstage_client.values import Job
from finstage_market.errors import FinstageError

FIRST_SYMBOLS = ("AAPL", "MSFT", "SPY", "BTC-USD", "EURUSD=X")
READY_S = 60.0
LOAD_S = 60.0
_LOOK_EVERY_S = 0.25


class _Stop(BaseException):
    """A signal asks this process to stop."""


class _Signals:
    """Ctrl-C, SIGTERM and a closed terminal: they raise _Stop while `interrupts`, and are kept until then."""

    def __init__(self) -> None:
        self.interrupts = False
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self.interrupts:
            raise _Stop

    def allow(self) -> None:
        """Let them interrupt from here on; one that came before does so now."""
        self.interrupts = True
        if self._asked:
            raise _Stop


def run(ports: Ports, console: Console) -> None:
    """Start everything, show what to try, and return when a signal came and all have stopped.

    Raises:
        CannotStart: something is in the way, or a process ended by itself; all others have been stopped.
    """
    planned = parts(ports, os.environ)
    root = checkout()
    check_ports(planned)
    logs = log_folder(Path("var"))
    signals = _Signals()
    try:
        with Children(logs, root) as children:
            children.start(planned)  # an interrupt in between would leave a process behind
            try:
                signals.allow()
                with console.status("starting: " + ", ".join(part.name for part in planned)):
                    children.wait_until_ready(READY_S)
                show(console, planned, ports, logs, _load(ports, children))
                while True:
                    children.check()
                    time.sleep(_LOOK_EVERY_S)
            finally:
                signals.interrupts = False
    except _Stop:
        console.print("stopped")


def _load(ports: Ports, children: Children) -> str:
    """Bring the first symbols in, and return a line about the outcome."""
    symbols = ", ".join(FIRST_SYMBOLS)
    with Client(ingest=f"{HOST}:{ports.ingest_port}") as client:
        try:
            job = client.backfill(FIRST_SYMBOLS, ["1d"])
            job = follow(job, _until_loaded(client, job, children))
        except FinstageError as error:
            return f"{symbols} could not be loaded: {error.message}"
    if not job.has_ended:
        return f"{symbols} are still loading (job {job.id})."
    failed = f"; {job.chunks_failed} of {job.chunks_total} failed" if job.chunks_failed else ""
    return f"Loaded: {symbols}, 1d: {job.rows.sent:,} bars{failed}. Other symbols are fetched on demand."


def _until_loaded(client: Client, job: Job, children: Children) -> Iterator[Job]:
    deadline = time.monotonic() + LOAD_S
    while not job.has_ended and time.monotonic() < deadline:
        children.check()
        time.sleep(_LOOK_EVERY_S)
        job = client.job(job.id)
        yield job

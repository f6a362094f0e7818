"""ingest as a process that starts quickly: forked from a process that has imported it already.

A proof starts ingest hundreds of times, and nearly all of a start is imports.
"""

import multiprocessing
import os
import runpy
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from tests.e2e.running import ServiceProcess


def fork_context() -> ForkServerContext:
    """Return a context whose processes are forked with the imports of ingest and of the proof made."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["services.ingest.__main__", "proof.ingest_harm", "sim.server"])
    return context


class IngestProcess(ServiceProcess):
    """`python -m services.ingest`, forked."""

    def __init__(self, context: ForkServerContext, folder: Path, ports: list[int], **settings: str) -> None:
        super().__init__("ingest", folder, ports[0], ports[1], **settings)
        self._context = context

    def _launch(self) -> "_Forked":
        process = self._context.Process(target=_run, args=(self._environment, self._log))
        process.start()
        return _Forked(process)


class _Forked:
    """A forked process, to be handled as a subprocess."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0
        self.terminate = process.terminate
        self.kill = process.kill

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        return self._process.exitcode or 0


def _run(environment: dict[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    runpy.run_module("services.ingest", run_name="__main__", alter_sys=True)

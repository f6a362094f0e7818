"""The processes: starting, watching and stopping them."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finstage_client.up.plan import CannotStart, Part

_LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class Child:
    """A running part and its log."""

    part: Part
    process: "subprocess.Popen[bytes]"
    log: Path


class Children:
    """The running parts. Leaving the context stops them: by SIGTERM, and after `stop_s` by SIGKILL.

    checkout: the folder whose programs are run.
    """

    def __init__(self, logs: Path, checkout: Path, *, stop_s: float = 4.0) -> None:
        self._logs = logs
        self._stop_s = stop_s
        path = filter(None, (str(checkout), os.environ.get("PYTHONPATH")))
        self._environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path)}
        self._children: list[Child] = []

    def start(self, parts: Sequence[Part]) -> None:
        """Start each part, with its output going to its log."""
        for part in parts:
            log = self._logs / f"{part.name}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", part.module],
                    env={**self._environment, **part.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # The terminal's Ctrl-C must reach this process alone, which stops the others in order.
                    start_new_session=True,
                )
            self._children.append(Child(part, process, log))

    def check(self) -> None:
        """Check that all are running.

        Raises:
            CannotStart: one has ended; the last lines of its log come with it.
        """
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                lines = child.log.read_text(errors="replace").splitlines()
                raise CannotStart(f"{child.part.name} ended {how}; its log: {child.log}", lines[-_LOG_LINES:])

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until all are ready.

        Raises:
            CannotStart: one has ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        waiting = list(self._children)
        while waiting:
            self.check()
            waiting = [child for child in waiting if not _answers(child.part.ready_url)]
            if waiting and time.monotonic() > deadline:
                names = ", ".join(f"{child.part.name} ({child.log})" for child in waiting)
                raise CannotStart(f"not ready within {timeout_s:.0f} s: {names}")
            time.sleep(0.1 if waiting else 0)

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: Any) -> None:
        for child in reversed(self._children):
            child.process.terminate()
        deadline = time.monotonic() + self._stop_s
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False

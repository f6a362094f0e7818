"""The faults that ingest must survive.

A harm is a context manager. For a place and the work to do there, it yields the place as clients reach it,
and the
strike: a function to call when the work begins, which returns whether the fault came before the work was
    done.
"""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TypeAlias

from proof.ingest_place import PATIENCE_S, Place, until
from proof.ingest_work import BATCH_ROWS, Work
from tests.postgres_server import PostgresServer

# Place, work, and the seconds from its beginning to the strike.
Harm: TypeAlias = Callable[[Place, Work, float], AbstractContextManager[tuple[Place, Callable[[], bool]]]]
WRITE_BYTES = 3 << 20  # about the size of a write on disk


@contextmanager
def killed(at: Place, work: Work, after_s: float) -> Iterator[tuple[Place, Callable[[], bool]]]:
    """Kill ingest (kill -9) and start a new one."""

    def strike() -> bool:
        time.sleep(after_s)
        came_before = not work.is_done
        at.ingest.kill()
        at.ingest.start()
        return came_before

    yield at, strike


def without_postgres(server: PostgresServer) -> Harm:
    """Kill PostgreSQL (kill -9) and start a new one."""

    @contextmanager
    def harm(at: Place, work: Work, after_s: float) -> Iterator[tuple[Place, Callable[[], bool]]]:
        def strike() -> bool:
            time.sleep(after_s)
            came_before = not work.is_done
            server.kill()
            _start_again(server)
            return came_before

        yield at, strike

    return harm


@contextmanager
def cut(at: Place, work: Work, after_s: float) -> Iterator[tuple[Place, Callable[[], bool]]]:
    """Cut the connection when something is committed and not yet acknowledged."""
    wire = Wire(at.target)

    def strike() -> bool:
        time.sleep(after_s)
        until(lambda: work.is_done or work.acknowledged > 0)  # before that nothing is in progress
        wire.hold_answers()
        until(lambda: work.is_done or at.committed() > work.acknowledged // BATCH_ROWS)
        came_before = not work.is_done
        wire.cut()
        return came_before

    try:
        yield replace(at, target=wire.target), strike
    finally:
        wire.close()


def full(disk: "SmallDisk", rng: random.Random) -> Harm:
    """Fill the disk during the work; make room again once the client got an error."""

    @contextmanager
    def harm(at: Place, work: Work, after_s: float) -> Iterator[tuple[Place, Callable[[], bool]]]:
        disk.leave(rng.randrange(WRITE_BYTES))

        def strike() -> bool:
            until(lambda: work.is_done or bool(work.errors))
            came_before = not work.is_done
            disk.make_room()
            return came_before

        yield at, strike

    return harm


def _start_again(server: PostgresServer) -> None:
    """Start it; it refuses while children of the killed server still hold its shared memory."""
    give_up = time.monotonic() + PATIENCE_S / 2
    while True:
        try:
            return server.start()
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


class Wire:
    """A proxy to a server on loopback, which can hold back the server's answers and be cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._answers = Event()
        self._answers.set()
        self._lock = Lock()
        self._ends: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def hold_answers(self) -> None:
        """Hold the server's answers back from now on."""
        self._answers.clear()

    def cut(self) -> None:
        """Close the connections and drop the answers held back; new connections pass."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._answers.set()

    def close(self) -> None:
        """Stop the proxy."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                with self._lock:
                    self._ends += [client, server]
                Thread(target=self._pass, args=(client, server, None), daemon=True).start()
                Thread(target=self._pass, args=(server, client, self._answers), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, gate: Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class SmallDisk:
    """A file system of a few MiB, filled by a ballast file as needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def folder(self, name: str, *, of_process: int) -> Path:
        """Make a folder that belongs to the user of a process."""
        path = self.path / name
        path.mkdir()
        os.chown(path, Path(f"/proc/{of_process}").stat().st_uid, -1)
        return path

    def leave(self, free: int) -> None:
        """Leave that many bytes free."""
        status = os.statvfs(self.path)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_bsize - free))

    def make_room(self) -> None:
        """Remove the ballast."""
        self._ballast.unlink()


@contextmanager
def small_disk(path: Path, *, mib: int) -> Iterator[SmallDisk | None]:
    """Mount a small disk; yield None where this user may not mount."""
    path.mkdir()
    options = f"size={mib}m,mode=777"
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "finstage-proof", path], check=False)
    try:
        yield None if mount.returncode else SmallDisk(path)
    finally:
        if not mount.returncode:
            subprocess.run(["umount", "-l", path], check=True)
        path.rmdir()

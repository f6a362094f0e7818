"""HTTP for operators: /metrics (Prometheus), /healthz (alive), /readyz (accepts calls)."""

import asyncio
import concurrent.futures
import os
import resource
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

# An event loop that is blocked for longer counts as dead.
_MAX_LOOP_SILENCE_S = 5.0


class Monitor:
    """An HTTP server in its own threads, so that it answers while the event loop is blocked.

    loop: the event loop that /healthz checks.
    ready: whether /readyz says yes; called in any thread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        loop: asyncio.AbstractEventLoop,
        ready: Callable[[], bool],
    ) -> None:
        """Bind the address.

        Raises:
            OSError: the address cannot be bound.
        """

        def alive() -> bool:
            answered: concurrent.futures.Future[None] = concurrent.futures.Future()
            try:
                loop.call_soon_threadsafe(answered.set_result, None)
                answered.result(_MAX_LOOP_SILENCE_S)
            except (RuntimeError, concurrent.futures.TimeoutError):
                return False
            return True

        class Handler(BaseHTTPRequestHandler):
            server_version, sys_version = "finstage", ""
            timeout = 10.0

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/metrics":
                        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                        self._reply(200, encode(registry), content_type)
                    case "/healthz":
                        self._say("ok" if alive() else None, "the event loop does not answer")
                    case "/readyz":
                        self._say("ok" if ready() else None, "not serving")
                    case _:
                        self._reply(404, b"the paths are /metrics, /healthz and /readyz\n", "text/plain")

            def _say(self, good: str | None, bad: str) -> None:
                self._reply(200 if good else 503, f"{good or bad}\n".encode(), "text/plain")

            def _reply(self, code: int, body: bytes, content_type: str) -> None:
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = _HTTPServer((host, port), Handler)
        self.port: int = self._server.server_address[1]
        # `close` waits for up to 0.1 s.
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="monitor", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer's own asks the DNS for this machine's name.
        socketserver.TCPServer.server_bind(self)


def rss_bytes() -> float:
    """Return the resident memory of this process in bytes; its peak where the system gives only that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(highest if sys.platform == "darwin" else highest * 1024)

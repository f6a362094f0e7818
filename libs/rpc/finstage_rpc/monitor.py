"""What operators ask over HTTP: /metrics (Prometheus), /healthz (alive), /readyz (takes calls)."""

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

# An event loop that is silent for so long serves nobody.
_LOOP_ANSWERS_WITHIN_S = 5.0


class Monitor:
    """An HTTP server in threads of its own, so that it answers whatever the event loop does.

    loop: the event loop whose life /healthz tells of.
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
        """Binds the address.

        Raises:
            OSError: it cannot be bound.
        """

        def alive() -> bool:
            answered: concurrent.futures.Future[None] = concurrent.futures.Future()
            try:
                loop.call_soon_threadsafe(answered.set_result, None)
                answered.result(_LOOP_ANSWERS_WITHIN_S)
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
                        self._reply(404, b"there are /metrics, /healthz and /readyz\n", "text/plain")

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
        # 0.1 s is how long `close` may have to wait.
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="monitor", daemon=True).start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks the DNS for this machine's name.
        socketserver.TCPServer.server_bind(self)


def rss_bytes() -> float:
    """The memory of this process that is resident, in bytes; where the system does not say, its highest."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(highest if sys.platform == "darwin" else highest * 1024)

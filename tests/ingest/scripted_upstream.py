"""An HTTP server with scripted answers, one per request."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHART = (
    b'{"chart":{"result":[{"meta":{"symbol":"AAPL","regularMarketPrice":1.5,"regularMarketTime":1700000000,'
    b'"currency":"USD"},"indicators":{"quote":[{}]}}],"error":null}}'
)


class SkippingClock:
    """The machine's clocks, except that a sleep returns at once and moves them ahead.

    slept: the length of each sleep, in seconds.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._ahead_s = 0.0

    def wall(self) -> float:
        return time.time() + self._ahead_s

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._ahead_s += seconds


@dataclass(frozen=True)
class Answer:
    """One answer. reset: the connection is reset instead. drip_s: the time between two bytes of the body."""

    status: int = 200
    body: bytes = CHART
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0


class ScriptedUpstream(ThreadingHTTPServer):
    """Gives `answers` in turn, and repeats the last one.

    asked: (monotonic time, path, headers) of each request. most_at_once: the most concurrent requests.
    """

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers) or [Answer()]
        self.asked: list[tuple[float, str, dict[str, str]]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.asked.append((time.monotonic(), path, headers))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def answered(self) -> None:
        with self._lock:
            self._at_once -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits for the header's acknowledgement
    server: ScriptedUpstream

    def do_GET(self) -> None:
        answer = self.server.take(self.path, dict(self.headers))
        time.sleep(answer.delay_s)
        self.server.answered()
        if answer.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.drip_s:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                time.sleep(answer.drip_s)
        else:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def upstream(*answers: Answer) -> Iterator[ScriptedUpstream]:
    """Run a server on loopback until the block ends."""
    server = ScriptedUpstream(*answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

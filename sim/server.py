"""The HTTP server: HTTP/1.1 with keep-alive, one thread per connection, one write per reply."""

import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

from sim.admin import Admin
from sim.anomalies import AnomalyBoard
from sim.api import Api, Params, path_name, symbols_of
from sim.clock import Clock
from sim.faults import FaultBoard, spoil
from sim.listings import table
from sim.market import Market
from sim.reply import Reply, json_reply
from sim.stats import Stats

_IDLE_S = 75.0  # before a silent connection is closed
_PIECES = 20  # in which a slow body is sent


class Sim:
    """A running market. Leaving it as a context manager stops the server.

    Attributes:
        url: the base URL, such as "http://127.0.0.1:40123"; a provider's upstream URL.
        market: the market that it serves.
        faults, anomalies, stats: the state behind the admin paths, for tests in the same process.
    """

    def __init__(self, market: Market, address: tuple[str, int]) -> None:
        self.market = market
        self.faults, self.anomalies, self.stats = FaultBoard(), AnomalyBoard(), Stats()
        self._api = Api(market, self.anomalies)
        self._admin = Admin(market, self.faults, self.anomalies, self.stats)
        self._server = _Server(address, self)
        host, port = cast(tuple[str, int], self._server.server_address[:2])
        self.url = f"http://{host}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="sim"
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut every open connection. Safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def handle(self, path: str, query: str, send: Callable[[Reply], None]) -> None:
        """Answer a request and send the reply."""
        params = dict(parse_qsl(query, keep_blank_values=True))
        if path == "/healthz":
            send(json_reply({"status": "ok", "time": self.market.clock(), "seed": self.market.seed}))
        elif path.startswith("/admin/"):
            send(self._admin.handle(path.removeprefix("/admin/"), params))
        else:
            self._serve(path, query, params, send)

    def _serve(self, path: str, query: str, params: Params, send: Callable[[Reply], None]) -> None:
        name, symbols = path_name(path), symbols_of(path, params)
        began = self.stats.began()
        try:
            faults = self.faults.draw(name, symbols)
            reply = spoil(faults, lambda: self._api.answer(path, params))
            kinds = [fault.kind for fault in faults]
            self.stats.answered(began, reply, path=name, symbols=symbols, query=query, faults=kinds)
            send(reply)
        finally:
            self.stats.left()


def start(*, seed: int = 7, clock: Clock = time.time, host: str = "127.0.0.1", port: int = 0) -> Sim:
    """Start a market in threads of this process.

    Args:
        seed: another seed is another market.
        clock: returns the market's time, epoch seconds; tests move a `sim.clock.FakeClock`.
        host, port: where to listen; port 0 takes a free one.

    Raises:
        OSError: the server cannot listen on the address.
    """
    return Sim(Market(table(), seed=seed, clock=clock), (host, port))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sim: Sim) -> None:
        self.sim = sim
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Close every open connection: kept-alive ones would go on being answered."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has closed it already

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that disconnects is not an error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))  # or the next request would begin with it
        self.server.sim.handle(parts.path, parts.query, self._deliver)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass

    def _deliver(self, reply: Reply) -> None:
        self._pause(reply.delay_s)
        if reply.reset and reply.sent is None:
            return self._reset()
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Date: {formatdate(usegmt=True)}",
            "Server: finstage-sim",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            *(f"{name}: {value}" for name, value in reply.headers),
        ]
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        body = reply.body if reply.sent is None else reply.body[: reply.sent]
        if reply.slow_s:
            self.wfile.write(head)
            size = max(len(body) // _PIECES, 1)
            for at in range(0, len(body), size):
                self._pause(reply.slow_s / _PIECES)
                self.wfile.write(body[at : at + size])
        else:
            self.wfile.write(head + body)
        if reply.reset:
            self._reset()
        elif reply.sent is not None:
            self.close_connection = True

    def _pause(self, seconds: float) -> None:
        """Wait; raises ConnectionAbortedError as soon as the client gives up or the server stops."""
        until = time.monotonic() + seconds
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError
        time.sleep(max(until - time.monotonic(), 0))  # the client sent its next request early

    def _reset(self) -> None:
        """End with a TCP reset: the client sees "connection reset by peer", not an orderly close."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())  # at once: the server's own way of closing sends a FIN first

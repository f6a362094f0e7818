"""A server that answers the chart API with recorded replies.

By hand: python tests/ingest/replay.py --port N [--folder FIXTURES/yahoo]
"""

import argparse
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

CHART = "/v8/finance/chart/"
SEARCH = "/v1/finance/search"
NOT_FOUND = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
# Yahoo's two names for one interval.
ALIASES = {"60m": "1h"}


@dataclass(frozen=True)
class Recording:
    """A recorded reply of one symbol at one interval."""

    symbol: str
    interval: str
    status: int
    body: bytes


def recordings(folder: Path) -> list[Recording]:
    """Return the replies named by the manifest of `folder`, the longest last."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found = []
    for name, entry in manifest.items():
        body = (folder / name).read_bytes()
        url = urlsplit(entry["url"] or "")
        query = parse_qs(url.query)
        meta = _meta(body)
        symbol = meta.get("symbol") or unquote(url.path.rpartition("/")[2])
        interval = meta.get("dataGranularity") or query.get("interval", ["1d"])[0]
        if symbol and not name.startswith("edited_"):
            found.append(Recording(symbol, ALIASES.get(interval, interval), entry["status"] or 200, body))
    return sorted(found, key=lambda recording: len(recording.body))


def _meta(body: bytes) -> dict[str, str]:
    chart = json.loads(body).get("chart") or {}
    results = chart.get("result") or [{}]
    meta: dict[str, str] = results[0].get("meta") or {}
    return meta


class ReplayServer(ThreadingHTTPServer):
    """Answers a symbol and interval with the longest recorded reply; other symbols are not found.

    asked: the path and query of each request, in order.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.by_key = {(r.symbol, r.interval): r for r in recordings(folder)}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """The address that it listens on."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, target: str) -> tuple[int, bytes]:
        """Return status and body of the reply to a GET of `target`."""
        self.asked.append(target)
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == SEARCH:
            return 200, json.dumps({"quotes": self._search(query.get("q", ""))}).encode()
        symbol = unquote(url.path.removeprefix(CHART)).upper()
        interval = query.get("interval", "1d")
        found = self.by_key.get((symbol, ALIASES.get(interval, interval)))
        if found is None and "period1" not in query:
            # For a quote or an instrument `meta` is enough, whatever the interval.
            found = next((r for (s, _), r in self.by_key.items() if s == symbol), None)
        if found is None:
            return 404, json.dumps({"chart": {"result": None, "error": NOT_FOUND}}).encode()
        return found.status, found.body

    def _search(self, text: str) -> list[dict[str, str]]:
        metas = (_meta(r.body) for r in self.by_key.values())
        hits = {m["symbol"]: m for m in metas if m and text.upper() in m["symbol"]}
        return [
            {"symbol": s, "quoteType": m["instrumentType"], "exchange": m["exchangeName"], "shortname": s}
            for s, m in sorted(hits.items())
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits for the header's acknowledgement
    server: ReplayServer

    def do_GET(self) -> None:
        status, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def replaying(folder: Path, port: int = 0) -> Iterator[ReplayServer]:
    """Run a server on loopback until the block ends."""
    server = ReplayServer(folder, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Serve until interrupted."""
    repo = Path(__file__).resolve().parents[2]
    default = Path(os.environ.get("FINSTAGE_FIXTURES", repo.parent / "shared" / "fixtures")) / "yahoo"
    parser = argparse.ArgumentParser(description="Answer the chart API with recorded replies.")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--folder", type=Path, default=default)
    args = parser.parse_args()
    with replaying(args.folder, args.port) as server:
        print(f"replaying {len(server.by_key)} recordings at {server.url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

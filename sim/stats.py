"""Statistics of the requests, for tests of how a client behaves."""

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from sim.reply import Reply

_KEPT = 20_000
# A client may round its wait.
_GRACE_S = 0.05


@dataclass(frozen=True)
class Seen:
    """One request. Times are the wall clock's, epoch seconds."""

    at: float
    seconds: float  # until the reply was ready
    path: str
    symbol: str  # comma-separated when there are several
    query: str
    status: int
    outcome: str  # "ok", the kinds of the faults that hit it, or the API's refusal: "http_404"
    wait_s: float | None  # the wait that its Retry-After asked for
    early: bool  # whether it came before an earlier reply's Retry-After was over


class Stats:
    """Counts and a log of requests. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._log: deque[Seen] = deque(maxlen=_KEPT)
            self._counts = {"path": Counter[str](), "symbol": Counter[str](), "outcome": Counter[str]()}
            self._total = self._early = 0
            self._max_in_flight = self._in_flight
            self._wait_until: dict[tuple[str, str], float] = {}

    def began(self) -> float:
        """Count a request that has come; return its time."""
        with self._lock:
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
            return time.time()

    def answered(
        self,
        at: float,
        reply: Reply,
        *,
        path: str,
        symbols: tuple[str, ...],
        query: str,
        faults: list[str],
    ) -> None:
        """Record the reply to the request that came `at`."""
        symbol, now = ",".join(symbols), time.time()
        outcome = "+".join(faults) or ("ok" if reply.status == 200 else f"http_{reply.status}")
        with self._lock:
            early = at < self._wait_until.get((path, symbol), 0.0) - _GRACE_S
            self._total += 1
            self._early += early
            for name, value in (("path", path), ("symbol", symbol), ("outcome", outcome)):
                self._counts[name][value] += 1
            # After a reset the client has not seen the header.
            wait_s = None if reply.reset else _wait_s(reply, now)
            if wait_s is not None:
                self._wait_until[path, symbol] = now + reply.delay_s + wait_s
            self._log.append(Seen(at, now - at, path, symbol, query, reply.status, outcome, wait_s, early))

    def left(self) -> None:
        """Count a reply as delivered, or as given up."""
        with self._lock:
            self._in_flight -= 1

    def summary(self, *, symbol: str = "", limit: int = 1000) -> dict[str, Any]:
        """Return totals, and the last `limit` requests (for `symbol`, if given), oldest first."""
        with self._lock:
            log = [asdict(seen) for seen in self._log if not symbol or symbol in seen.symbol.split(",")]
            return {
                "requests": self._total,
                "early": self._early,
                "in_flight": self._in_flight,
                "max_in_flight": self._max_in_flight,
                **{f"by_{name}": dict(counts) for name, counts in self._counts.items()},
                "log": log[-limit:] if limit else [],
            }


def _wait_s(reply: Reply, now: float) -> float | None:
    for name, value in reply.headers:
        if name == "Retry-After":
            return float(value) if value.isdigit() else parsedate_to_datetime(value).timestamp() - now
    return None

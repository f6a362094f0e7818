"""Faults on demand: which requests go wrong, and how."""

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from email.utils import formatdate
from typing import Any

from sim.query import ApiError, error_body
from sim.reply import Reply, json_reply

_TOO_MANY = "Edge: Too Many Requests"


@dataclass(frozen=True)
class Fault:
    """A rule: matching requests go wrong with probability `rate`.

    Attributes:
        kind: a key of KINDS.
        rate: the rule has a random generator of its own; the n-th matching request always gets the n-th draw.
        count: the rule ends after so many faults; unset: never.
        symbol: only requests for this symbol; empty: all.
        path: only "chart", "quote", "search" or "download"; empty: all.
        seed: seed of the generator.
        seconds: duration, for latency and slow_body.
        status: status code, for server_error.
        retry_after: seconds, for rate_limited and server_error.
        form: form of the Retry-After header: "seconds", "date" or "none" (no header).
        body: body of rate_limited: "text" or "html".
        after: bytes of the body sent before a reset; unset: the reset comes before the reply.
    """

    kind: str
    rate: float = 1.0
    count: int | None = None
    symbol: str = ""
    path: str = ""
    seed: int = 0
    seconds: float = 1.0
    status: int = 503
    retry_after: float = 1.0
    form: str = "none"
    body: str = "text"
    after: int | None = None


def rate_limited(fault: Fault) -> Reply:
    """Return a 429 as text or as a page, with Retry-After in the requested form."""
    if fault.body == "html":
        body, content_type = _page("Too Many Requests"), "text/html"
    else:
        body, content_type = _TOO_MANY.encode(), "text/plain"
    return Reply(429, body, content_type, _retry_after(fault))


def _retry_after(fault: Fault) -> tuple[tuple[str, str], ...]:
    if fault.form == "seconds":
        return (("Retry-After", str(math.ceil(fault.retry_after))),)
    if fault.form == "date":
        return (("Retry-After", formatdate(math.ceil(time.time() + fault.retry_after), usegmt=True)),)
    return ()


def _page(title: str) -> bytes:
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1></body></html>\n"
    ).encode()


def _error_200(_: Fault) -> Reply:
    return json_reply(error_body(ApiError(500, "Internal Server Error", "An internal error has occurred")))


def _unauthorized(_: Fault) -> Reply:
    return json_reply(error_body(ApiError(401, "Unauthorized", "Invalid Crumb"), "finance"), status=401)


def _server_error(fault: Fault) -> Reply:
    return Reply(fault.status, _page("Yahoo! - Error"), "text/html", _retry_after(fault))


# These replace the reply.
REPLACEMENTS: dict[str, Callable[[Fault], Reply]] = {
    "rate_limited": rate_limited,
    "server_error": _server_error,
    "unauthorized": _unauthorized,
    "html": lambda _: Reply(200, _page("Yahoo Finance"), "text/html; charset=utf-8"),
    "error_200": _error_200,
    "text_200": lambda _: Reply(200, _TOO_MANY.encode(), "text/plain"),
    "empty_body": lambda _: Reply(200, b""),
}

# These change the reply.
CHANGES: dict[str, Callable[[Fault, Reply], Reply]] = {
    "latency": lambda fault, reply: replace(reply, delay_s=reply.delay_s + fault.seconds),
    "slow_body": lambda fault, reply: replace(reply, slow_s=fault.seconds),
    "truncated_json": lambda _, reply: replace(reply, body=reply.body[: len(reply.body) // 2]),
    "truncated_body": lambda _, reply: replace(reply, sent=len(reply.body) // 2),
    "reset": lambda fault, reply: replace(reply, sent=fault.after, reset=True),
}
KINDS = (*REPLACEMENTS, *CHANGES)


@dataclass(frozen=True)
class Rule:
    """A fault in force."""

    id: int
    fault: Fault
    matched: int  # requests that it matched so far
    hit: int  # how many of them went wrong


class FaultBoard:
    """The rules in force. Safe to share between threads.

    Rules are independent: each has its own generator, and every rule that hits applies. Of those that replace
    the reply, only the first does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}
        self._draws: dict[int, random.Random] = {}
        self._next_id = 1

    def add(self, fault: Fault) -> Rule:
        with self._lock:
            rule = Rule(self._next_id, fault, 0, 0)
            self._next_id += 1
            self._rules[rule.id] = rule
            self._draws[rule.id] = random.Random(f"{fault.seed}:{fault.kind}")
            return rule

    def clear(self, kind: str = "") -> None:
        """Remove all rules, or those of one kind."""
        with self._lock:
            self._rules = {i: rule for i, rule in self._rules.items() if kind and rule.fault.kind != kind}

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(rule) for rule in self._rules.values()]

    def draw(self, path: str, symbols: tuple[str, ...]) -> list[Fault]:
        """Return the faults that hit a request."""
        hits = []
        with self._lock:
            for rule in self._rules.values():
                fault = rule.fault
                if fault.path not in ("", path) or (fault.symbol and fault.symbol not in symbols):
                    continue
                hit = self._draws[rule.id].random() < fault.rate
                if fault.count is not None and rule.hit >= fault.count:
                    continue
                self._rules[rule.id] = replace(rule, matched=rule.matched + 1, hit=rule.hit + hit)
                if hit:
                    hits.append(fault)
        return hits


def spoil(faults: list[Fault], answer: Callable[[], Reply]) -> Reply:
    """Return the reply with the faults applied; `answer` is called only when no fault replaces the reply."""
    instead = next((fault for fault in faults if fault.kind in REPLACEMENTS), None)
    reply = answer() if instead is None else REPLACEMENTS[instead.kind](instead)
    for fault in faults:
        if fault.kind in CHANGES:
            reply = CHANGES[fault.kind](fault, reply)
    return reply


def parse_fault(params: Mapping[str, str]) -> Fault:
    """Return a fault from the parameters of an admin request.

    Raises:
        ValueError: an unknown kind or parameter, or a value out of range.
    """
    known = Fault.__annotations__
    values: dict[str, Any] = {}
    for name, text in params.items():
        if name not in known:
            raise ValueError(f"{name}: unknown parameter; known are {', '.join(known)}")
        try:
            values[name] = _PARSERS[known[name]](text)
        except ValueError:
            raise ValueError(f"{name}={text}: not a number") from None
    fault = Fault(**{"kind": "", **values})
    checks = {
        "kind": fault.kind in KINDS,
        "rate": 0 <= fault.rate <= 1,
        "form": fault.form in ("none", "seconds", "date"),
        "body": fault.body in ("text", "html"),
        "path": fault.path in ("", "chart", "quote", "search", "download"),
        "status": 500 <= fault.status <= 599,
        "seconds": 0 <= fault.seconds <= 3600,
    }
    for name, good in checks.items():
        if not good:
            raise ValueError(f"{name}={getattr(fault, name)}: not accepted; kinds are {', '.join(KINDS)}")
    return replace(fault, symbol=fault.symbol.upper())


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    float: float,
    int: int,
    int | None: int,
}

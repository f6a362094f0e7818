"""The call being served: its caller, its deadline, and the id that calls made on its behalf inherit.

The server sets it for the task that serves the call; tasks and threads started from there see it too. Read it
with `current()`. The request id is made only when something reads it.
"""

import secrets
import time
from contextvars import ContextVar
from typing import Any

import grpc

REQUEST_ID_KEY = "x-request-id"

Context = grpc.aio.ServicerContext[Any, Any]


class Call:
    """One call of one RPC.

    method: its full name, "/finstage.price.v1.PriceService/GetQuote".
    caller: the name of its API key; empty without one.
    deadline: the time.monotonic() at which the caller stops waiting; None when it set no deadline.
    """

    __slots__ = ("_context", "_request_id", "caller", "deadline", "method")

    def __init__(self, method: str, context: Context) -> None:
        remaining: float | None = context.time_remaining()
        self.method = method
        self.caller = ""
        self.deadline = None if remaining is None else time.monotonic() + remaining
        self._context = context
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """The caller's x-request-id, of at most 64 printable characters, or one made here."""
        if not self._request_id:
            given = dict(self._context.invocation_metadata() or ()).get(REQUEST_ID_KEY, "")
            usable = isinstance(given, str) and given.isascii() and given.isprintable() and len(given) <= 64
            self._request_id = str(given) if given and usable else secrets.token_hex(8)
        return self._request_id


_current: ContextVar[Call | None] = ContextVar("finstage_call", default=None)


def current() -> Call | None:
    """Return the call that this task or thread serves; None outside a call."""
    return _current.get()


def enter(call: Call) -> None:
    """Make `call` the one that this task serves until it ends."""
    _current.set(call)

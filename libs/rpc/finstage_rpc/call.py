"""The call being served: who asked, how long there is left, and what calls made on its behalf inherit.

The server wrapper sets it for the task that serves the call; tasks and threads started from there see it
too. A reader finds it with `current()`; nothing here is paid for by a call that nobody asks about.
"""

import contextlib
import secrets
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import grpc

REQUEST_ID_KEY = "x-request-id"

Context = grpc.aio.ServicerContext[Any, Any]


class Call:
    """One call of one RPC.

    method: its full name, "/finstage.price.v1.PriceService/GetQuote".
    caller: the name of the API key that it came with; empty without.
    deadline: the time.monotonic() by which the caller wants the answer; None when it did not say.
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
    """The call that this task or thread serves; None outside any."""
    return _current.get()


def enter(call: Call) -> None:
    """Makes `call` the one that this task serves, to the task's end."""
    _current.set(call)


@contextlib.contextmanager
def detached() -> Iterator[None]:
    """Within it there is no current call: for work that others wait for too, or that outlives the call.

    A task must be created inside it: a task sees what was current where it was created.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)

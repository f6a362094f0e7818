"""Waits before an upstream is asked (again): told to those who wait for the answer, who may call them off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.ingest.upstream.outcomes import Failure

# Called in the thread that is about to wait, with the reason and for how many seconds. False: do not wait.
WaitListener = Callable[[Failure, float], bool]
_listener: ContextVar[WaitListener | None] = ContextVar("wait_listener", default=None)


def listen_to_waits(listener: WaitListener) -> None:
    """Make `listener` that of the current context, and of the threads that work for it."""
    _listener.set(listener)


@contextmanager
def no_wait_over(seconds: float) -> Iterator[None]:
    """Call off longer waits within the block, because something better can be done."""
    token = _listener.set(lambda _, wait_s: wait_s <= seconds)
    try:
        yield
    finally:
        _listener.reset(token)


def may_wait(reason: Failure, wait_s: float) -> bool:
    """Tell that a wait is about to begin. Returns whether to begin it."""
    listener = _listener.get()
    return listener is None or listener(reason, wait_s)

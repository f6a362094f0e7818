"""Waits before an upstream is asked (again), told to those who wait for the answer."""

from collections.abc import Callable
from contextvars import ContextVar

from services.ingest.upstream.outcomes import Failure

# Called in the thread that waits, with the reason and the clock.monotonic() seconds at which the wait ends.
WaitListener = Callable[[Failure, float], None]
wait_listener: ContextVar[WaitListener | None] = ContextVar("wait_listener", default=None)


def tell_wait(reason: Failure, until: float) -> None:
    """Tell the listener of the current context, if there is one, that a wait begins."""
    if listener := wait_listener.get():
        listener(reason, until)

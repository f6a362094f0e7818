"""Metrics of calls, under the names that dashboards for gRPC use."""

from collections.abc import Callable

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

LABELS = ("grpc_type", "grpc_service", "grpc_method")
# From an answer from memory to one that waited for an upstream.
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class CallMetrics:
    """The five metric families of one side, "server" or "client"."""

    def __init__(self, registry: CollectorRegistry, side: str) -> None:
        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"grpc_{side}_{name}", text, (*LABELS, *more), registry=registry)

        self.started = counter("started", "Calls started.")
        self.handled = counter("handled", "Calls ended, by code.", "grpc_code")
        self.received = counter("msg_received", "Messages received.")
        self.sent = counter("msg_sent", "Messages sent.")
        self.seconds = Histogram(
            f"grpc_{side}_handling_seconds",
            "Time from the start of a call to its end, streams included.",
            LABELS,
            buckets=BUCKETS_S,
            registry=registry,
        )


class MethodMetrics:
    """CallMetrics for one method, with its labels resolved once."""

    __slots__ = ("handled", "received", "seconds", "sent", "started")

    def __init__(self, metrics: CallMetrics, path: str, grpc_type: str) -> None:
        _, service, method = path.split("/")
        labels = (grpc_type, service, method)
        self.started: Callable[[], None] = metrics.started.labels(*labels).inc
        self.received: Callable[[], None] = metrics.received.labels(*labels).inc
        self.sent: Callable[[], None] = metrics.sent.labels(*labels).inc
        self.seconds: Callable[[float], None] = metrics.seconds.labels(*labels).observe
        self.handled = _CountersByCode(metrics.handled, labels)


class _CountersByCode(dict[grpc.StatusCode, Callable[[], None]]):
    """The counters of ended calls, each made when its code first occurs: `handled[code]()` counts a call."""

    def __init__(self, handled: Counter, labels: tuple[str, ...]) -> None:
        super().__init__()
        self._handled, self._labels = handled, labels
        self[grpc.StatusCode.OK]

    def __missing__(self, code: grpc.StatusCode) -> Callable[[], None]:
        count = self[code] = self._handled.labels(*self._labels, code.name).inc
        return count


def grpc_type(*, client_streaming: bool, server_streaming: bool) -> str:
    """Return the label grpc_type: unary, client_stream, server_stream or bidi_stream."""
    if client_streaming:
        return "bidi_stream" if server_streaming else "client_stream"
    return "server_stream" if server_streaming else "unary"

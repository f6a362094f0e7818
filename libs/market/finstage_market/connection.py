"""How clients connect: the options of a channel, which calls are retried, and the credentials of TLS."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from finstage.market.v1 import options_pb2

# The longest message, both ways: gRPC's own default in every language.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

# Finstage's servers take a ping every 10 s. Other servers may ask for 5 min between pings, but a proxy in
# between cuts a connection that is silent for so long.
_PING_EVERY_S, _PING_TIMEOUT_S = 30, 10
_RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_RETRIED = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


def is_endless(method: MethodDescriptor) -> bool:
    """Whether the contract marks `method` as one whose stream has no end."""
    return bool(method.GetOptions().Extensions[options_pb2.endless])  # type: ignore[index]  # its stub


def channel_options(services: Iterable[ServiceDescriptor]) -> list[tuple[str, Any]]:
    """Return the options of a channel.

    services: those whose calls are retried, within their deadline, when they are UNAVAILABLE: the calls that
        the contract calls idempotent. Endless streams are not retried but resumed.
    """
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", _PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.service_config", json.dumps(_service_config(services))),
        ("grpc.enable_retries", 1),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_http_proxy", 0),  # a proxy in the environment is for the internet
        # A server that comes back is found within seconds, not after gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        # What an attempt to connect may take: several round trips, for TLS too, on a slow network.
        ("grpc.min_reconnect_backoff_ms", 3000),
        ("grpc.max_reconnect_backoff_ms", 5000),
    ]


def credentials(*, ca: Path | None, key: Path | None, cert: Path | None) -> grpc.ChannelCredentials | None:
    """Return TLS credentials from PEM files; None, which is plain text, without `ca`."""
    if ca is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=ca.read_bytes(),
        private_key=None if key is None else key.read_bytes(),
        certificate_chain=None if cert is None else cert.read_bytes(),
    )


def _service_config(services: Iterable[ServiceDescriptor]) -> dict[str, Any]:
    retried = [
        {"service": service.full_name, "method": name}
        for service in services
        for name, method in service.methods_by_name.items()
        if method.GetOptions().idempotency_level in _RETRIED
        and not is_endless(method)
        and not method.client_streaming
    ]
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retried:
        config["methodConfig"] = [{"name": retried, "retryPolicy": _RETRY}]
        # While more than a few of the last calls failed, retries would only add to the load.
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    return config

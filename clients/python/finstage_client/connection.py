"""Where the services are, how to connect to them, and why that failed."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import grpc

from finstage.indicators.v1 import indicator_service_pb2
from finstage.ingest.v1 import ingest_service_pb2
from finstage.price.v1 import price_service_pb2
from finstage_market.connection import channel_options, credentials
from finstage_market.errors import FinstageError, InvalidRequest, Reason, Unavailable, Violation
from finstage_market.statuses import DETAILS_KEY, from_rpc_error

Service = Literal["price", "indicators", "ingest"]

DEFAULT_TARGETS: Mapping[Service, str] = {
    "price": "127.0.0.1:50051",
    "indicators": "127.0.0.1:50052",
    "ingest": "127.0.0.1:50053",
}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_SERVICES = (
    price_service_pb2.DESCRIPTOR.services_by_name["PriceService"],
    indicator_service_pb2.DESCRIPTOR.services_by_name["IndicatorService"],
    ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"],
)
_SETTINGS = ("api_key", "tls_ca", "tls_cert", "tls_key")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d+)")
# Schemes that gRPC resolves itself: it checks such targets, we do not.
_GRPC_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """The API key and the TLS files of a client.

    api_key: sent with every call. None: no key.
    tls_ca: a PEM file: who must have signed the services' certificates. None: plain text.
    tls_cert, tls_key: PEM files: the client's certificate and its private key, for services that want one.

    Raises:
        InvalidRequest: a file cannot be read or is not PEM, one that another needs is missing, or the key has
            characters that a header cannot hold.
    """

    api_key: str | None = field(default=None, repr=False)
    tls_ca: str | Path | None = None
    tls_cert: str | Path | None = None
    tls_key: str | Path | None = None

    def __post_init__(self) -> None:
        violations = [
            Violation(name, wrong)
            for name in ("tls_ca", "tls_cert", "tls_key")
            if (path := getattr(self, name)) is not None and (wrong := _wrong_pem(Path(path)))
        ]
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            violations.append(Violation("api_key", "an API key is printable ASCII, without line ends"))
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            violations.append(Violation(missing, "not given; a certificate and its key go together"))
        elif self.tls_cert is not None and self.tls_ca is None:
            violations.append(
                Violation("tls_ca", "not given; a client certificate is used only over TLS, which needs it")
            )
        if violations:
            raise InvalidRequest(violations)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ConnectionSettings":
        """Return what FINSTAGE_API_KEY, FINSTAGE_TLS_CA, FINSTAGE_TLS_CERT and FINSTAGE_TLS_KEY say.

        Raises:
            InvalidRequest: one is wrong; the violation's field is the variable.
        """
        given = {name: environment.get(_variable(name)) or None for name in _SETTINGS}
        try:
            return cls(**given)
        except InvalidRequest as error:
            wrong = [Violation(_variable(v.field), v.description) for v in error.violations]
            raise InvalidRequest(wrong) from None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of every call."""
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key}"),)


def _variable(name: str) -> str:
    return f"FINSTAGE_{name.upper()}"


def _wrong_pem(path: Path) -> str:
    try:
        is_pem = b"-----BEGIN " in path.read_bytes()
    except OSError as error:
        return f"cannot read {str(path)!r}: {error.strerror}"
    return "" if is_pem else f"{str(path)!r} is not a PEM file"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One service: what it is, where it is, and how to connect to it."""

    service: Service
    target: str
    settings: ConnectionSettings

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials; None for plain text."""
        paths = {
            name: None if (path := getattr(self.settings, f"tls_{name}")) is None else Path(path)
            for name in ("ca", "key", "cert")
        }
        return credentials(**paths)

    @property
    def options(self) -> list[tuple[str, Any]]:
        """The options of a channel."""
        return channel_options(_SERVICES)

    def error(self, error: grpc.RpcError) -> FinstageError:
        """Return the domain error of a failed call, which tells why where no service answered."""
        assert isinstance(error, grpc.aio.AioRpcError | grpc.Call)
        name = f"{self.service} service at {self.target}"
        found = from_rpc_error(error, service=name)
        answered = any(key == DETAILS_KEY for key, _ in error.trailing_metadata() or ())
        if answered or not isinstance(found, Unavailable):
            return found
        why = self._why(str(error.details()))
        unreachable = Unavailable(
            Reason.SERVICE_UNAVAILABLE, f"{name} {why}", retry_after_s=found.retry_after_s
        )
        unreachable.__cause__ = error
        return unreachable

    def _why(self, details: str) -> str:
        """Return the end of a sentence that begins with the service's name, from gRPC's own text."""
        host = self.target.rpartition("/")[2].rpartition(":")[0]
        has_tls = self.settings.tls_ca is not None
        for signs, why in _CAUSES:
            if any(sign in details for sign in signs):
                return why.format(host=host)
        if "Connection refused" in details:
            start = "; start the services with `make run`" if host in _LOOPBACK else ""
            return f"is not there: nothing listens on that port{start}"
        if any(sign in details for sign in ("Socket closed", "Connection reset", "Broken pipe")):
            return _CLOSED_OVER_TLS if has_tls else _CLOSED
        return "does not answer"


# gRPC tells the cause of a failed connection in its text alone.
_CAUSES = (
    (
        ("Domain name not found", "DNS resolution failed", "lookup error", "not known"),
        "cannot be found: the host name {host!r} is not known",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "has a certificate that FINSTAGE_TLS_CA does not vouch for, or one that has expired",
    ),
    (("Hostname Verification", "Peer name"), "has a certificate for another name than {host!r}"),
    (("WRONG_VERSION_NUMBER",), "does not speak TLS; unset FINSTAGE_TLS_CA to connect in plain text"),
    (
        ("timed out before receiving SETTINGS frame",),
        "accepts the connection and says nothing; another program may listen on that port",
    ),
    (
        ("Failed parsing HTTP/2", "SETTINGS frame"),
        "does not speak gRPC in plain text; another program listens on that port, or it wants TLS "
        "(FINSTAGE_TLS_CA)",
    ),
)
_CLOSED = "closed the connection at once; if it wants TLS, set FINSTAGE_TLS_CA"
_CLOSED_OVER_TLS = (
    "closed the TLS connection at once; it may want a client certificate that it trusts "
    "(FINSTAGE_TLS_CERT, FINSTAGE_TLS_KEY)"
)


def endpoints(
    given: Mapping[Service, str | None], settings: ConnectionSettings | None
) -> dict[Service, Endpoint]:
    """Return each service's endpoint: as given, else as the environment says, else on this machine.

    Raises:
        InvalidRequest: a target is not one, or a setting in the environment is wrong.
    """
    settings = ConnectionSettings.from_environment() if settings is None else settings
    found, violations = {}, []
    for service, default in DEFAULT_TARGETS.items():
        variable = f"FINSTAGE_{service.upper()}_TARGET"
        own = given.get(service)
        target = own or os.environ.get(variable) or default
        if wrong := _wrong_target(target):
            violations.append(Violation(f"{service} target" if own else variable, wrong))
        found[service] = Endpoint(service, target, settings)
    if violations:
        raise InvalidRequest(violations)
    return found


def _wrong_target(target: str) -> str:
    if target.startswith(_GRPC_SCHEMES):
        return ""
    if "://" in target:
        return f"{target!r} is a URL; write HOST:PORT, without {target.partition('://')[0]}://"
    match = _HOST_AND_PORT.fullmatch(target)
    if match is None:
        return f"{target!r} is not HOST:PORT"
    if not 1 <= int(match[2]) <= 65535:
        return f"{target!r} has the port {match[2]}; ports are 1 to 65535"
    return ""

"""Addresses, certificates and keys as the settings give them, or the one line that says what is wrong."""

import socket
import ssl
from pathlib import Path

import grpc

from finstage_rpc.keys import ApiKeys
from finstage_rpc.settings import PREFIX, ServerSettings


class StartError(Exception):
    """The server cannot start. The message is one line and says why."""


def read_keys(path: Path | None) -> ApiKeys | None:
    """Return the keys in the file of API_KEYS_FILE; None without a file.

    Raises:
        StartError: the file cannot be read, or a line of it is wrong.
    """
    if path is None:
        return None
    try:
        return ApiKeys.read(path)
    except (OSError, ValueError) as error:
        raise StartError(f"{PREFIX}API_KEYS_FILE: {path} cannot be used: {error}") from error


def bind(server: grpc.aio.Server, settings: ServerSettings, *, setting: str, address: str) -> int:
    """Bind `server` to `address`, which `setting` gave, with the certificates of `settings`. Return the port.

    Raises:
        StartError: the address cannot be bound, or a file cannot be used.
    """
    credentials = _credentials(settings)
    _probe(setting, address)
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise cannot_bind(setting, address, error) from error


def _probe(setting: str, address: str) -> None:
    """Bind `address` and release it: unlike gRPC, the system says why an address cannot be bound."""
    host, port = split(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise cannot_bind(setting, address, error) from error


def cannot_bind(setting: str, address: str, error: Exception) -> StartError:
    """Return the error for an `address`, given by `setting`, that cannot be bound."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StartError(f"{PREFIX}{setting}: {address} cannot be bound: {why}")


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of an address; an IPv6 host without its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password, or OpenSSL asks the terminal for one.
        check.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ssl.SSLError) as error:
        names = f"{settings.tls_cert} and {settings.tls_key}"
        raise StartError(f"{PREFIX}TLS_CERT, {PREFIX}TLS_KEY: {names} cannot be used: {error}") from error
    client_ca: bytes | None = None
    if settings.tls_client_ca is not None:
        try:
            check.load_verify_locations(settings.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            path = settings.tls_client_ca
            raise StartError(f"{PREFIX}TLS_CLIENT_CA: {path} cannot be used: {error}") from error
        client_ca = settings.tls_client_ca.read_bytes()
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )

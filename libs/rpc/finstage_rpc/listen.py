"""Binding: addresses, certificates and keys as the settings give them, or the one line that says why not."""

import socket
import ssl
from pathlib import Path

import grpc

from finstage_rpc.keys import ApiKeys
from finstage_rpc.settings import PREFIX, ServerSettings


class StartError(Exception):
    """The server cannot start; the message is the one line that says why."""


def read_keys(path: Path | None) -> ApiKeys | None:
    """The keys in the file of API_KEYS_FILE; None without one.

    Raises:
        StartError: the file cannot be read, or is no such file.
    """
    if path is None:
        return None
    try:
        return ApiKeys.read(path)
    except (OSError, ValueError) as error:
        raise StartError(f"{PREFIX}API_KEYS_FILE: {path} cannot be used: {error}") from error


def bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    """Gives `server` the address and the certificates of `settings`; returns the port.

    Raises:
        StartError: the address cannot be bound, or a file cannot be used.
    """
    credentials = _credentials(settings)
    _probe(settings.listen)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        raise cannot_bind("LISTEN", settings.listen, error) from error


def _probe(address: str) -> None:
    """Binds and lets go of `address`: the system says why it cannot be had, gRPC does not."""
    host, port = split(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise cannot_bind("LISTEN", address, error) from error


def cannot_bind(setting: str, address: str, error: Exception) -> StartError:
    """That `address`, given by `setting`, cannot be bound, and why."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StartError(f"{PREFIX}{setting}: {address} cannot be bound: {why}")


def split(address: str) -> tuple[str, int]:
    """Host and port of an address; an IPv6 host without its brackets."""
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

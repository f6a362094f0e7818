"""Settings: the environment variables of a process, typed, with defaults that run.

A service's config.py subclasses ServerSettings (and ChannelSettings where it calls another service), gives
LISTEN and METRICS_LISTEN their defaults and adds its own fields; its __main__ calls `load`.
"""

import os
import re
import sys
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX = "FINSTAGE_"

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")
# A password may contain any character, and may stand in the port's place. So these are not shown: everything
# before the last @, everything from a port that is not a number, and options that hold a secret.
_CREDENTIALS = (
    (re.compile(r"(?s)^([\w+.-]*://)?.*@"), r"\1***@"),
    (re.compile(r"(?s)(//(?:\[[^\]]*\]|[^/:]*):)(?!\d*(?:[/?#]|$)).*"), r"\1***"),
    (re.compile(r"(?i)([?&;]\w*(?:pass|pwd|secret|token|key)\w*=)[^&;]*"), r"\1***"),
)
_QUOTED = re.compile(r"""(?s)['"].*['"]""")
_MAX_SHOWN = 200


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65535:
        raise ValueError("it is not HOST:PORT")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""HOST:PORT."""

Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]
"""A duration above 0."""


class Settings(BaseSettings):
    """The settings of every process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = Field(
        "console", description="console or json"
    )
    tls_cert: FilePath | None = Field(None, description="a PEM file: this process's certificate chain")
    tls_key: FilePath | None = Field(None, description="a PEM file: the private key of TLS_CERT")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY go together: give both or neither")
        return self


class ServerSettings(Settings):
    """The settings of a server."""

    listen: str = Field("127.0.0.1:0", description="HOST:PORT for gRPC")
    metrics_listen: str = Field("127.0.0.1:0", description="HOST:PORT for /metrics, /healthz and /readyz")
    tls_client_ca: FilePath | None = Field(
        None, description="a PEM file: the authorities that must have signed a client's certificate (mTLS)"
    )
    api_keys_file: FilePath | None = Field(
        None, description='a file of lines "NAME KEY"; KEY may be "sha256:HEX"'
    )
    max_concurrent_calls: int = Field(
        1000, ge=1, le=100_000, description="unary calls served at once, 1 to 100000"
    )
    max_concurrent_streams: int = Field(
        2000, ge=1, le=100_000, description="streams served at once, 1 to 100000"
    )
    slow_call_s: Seconds = Field(1.0, description="unary calls that take this many seconds are logged")
    memory_warning_mb: float = Field(
        1024.0, gt=0, description="MiB of resident memory above which a warning is logged"
    )
    max_connection_age_s: Seconds = Field(
        1800.0, description="seconds after which a client is told to reconnect, and so finds new replicas"
    )
    max_connection_age_grace_s: Seconds = Field(
        3600.0, description="seconds that calls on such a connection then have"
    )
    drain_wait_s: float = Field(
        2.0,
        ge=0,
        le=600,
        description="seconds between NOT_SERVING and refusing calls, on SIGTERM; 0 to 600",
    )
    drain_grace_s: float = Field(
        6.0, ge=0, le=600, description="seconds that running calls then have; 0 to 600"
    )

    # Not Address: a service that gives an address another default declares its field anew, as a str.
    _addresses = field_validator("listen", "metrics_listen")(_address)

    @model_validator(mode="after")
    def _mutual(self) -> Self:
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError(f"{PREFIX}TLS_CLIENT_CA needs {PREFIX}TLS_CERT and {PREFIX}TLS_KEY")
        return self


class ChannelSettings(Settings):
    """The settings of a process that calls a service. TLS_CERT and TLS_KEY are its client certificate too."""

    tls_ca: FilePath | None = Field(
        None, description="a PEM file: the authority of the called services' certificates; unset: plain text"
    )
    api_key: SecretStr | None = Field(None, description="the API key for called services")
    call_timeout_s: Seconds = Field(
        30.0, description="seconds that a call to another service may take at most"
    )


_S = TypeVar("_S", bound=BaseSettings)


def load(kind: type[_S]) -> _S:
    """Return the settings in the environment.

    Wrong ones end the process with exit code 2 and a line each on stderr: the variable, what was given, what
    is accepted.
    """
    try:
        return kind()
    except ValidationError as error:
        _exit(sorted({_line(kind, dict(found)) for found in error.errors()}))
    except SettingsError as error:
        # The value of a variable is not JSON. The error has the name of the field only in its text.
        found = re.search(r'field "(\w+)"', str(error))
        if found is None:
            _exit([str(error)])
        _exit([_line(kind, {"loc": (found[1],), "type": "json", "msg": "it is not valid JSON", "input": ""})])


def _exit(lines: list[str]) -> NoReturn:
    for line in lines:
        print(line, file=sys.stderr)
    raise SystemExit(2)


def _line(kind: type[BaseSettings], error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    field = kind.model_fields.get(name)
    variable = PREFIX + name.upper()
    accepted = f"; accepted: {field.description}" if field is not None and field.description else ""
    if error["type"] == "missing":
        return f"{variable} is not set{accepted}"
    secret = field is not None and "SecretStr" in str(field.annotation)
    where, value = "", os.environ.get(variable, str(error["input"]))
    if error["loc"][1:]:
        where, value = f" ({', '.join(map(str, error['loc'][1:]))})", error["input"]
    given, message = ("a value", message) if secret else _without_credentials(value, message)
    return f"{variable}{where}: {given} was given; {message[:1].lower()}{message[1:]}{accepted}"


def _without_credentials(value: object, message: str) -> tuple[str, str]:
    """Return the value and the message for people, without what may be a password."""
    shown = value
    if isinstance(value, str):
        for pattern, instead in _CREDENTIALS:
            shown = pattern.sub(instead, str(shown))
    if shown != value:
        message = _QUOTED.sub("…", message)
    text = repr(shown)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…", message

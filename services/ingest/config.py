"""The settings of ingest."""

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from finstage_cache import check_url
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol
from finstage_rpc.settings import PREFIX, Address, ServerSettings

# Settings know no domain, so that everything may be built from them: the names are those of
# providers/catalogue.py, which a test compares.
PROVIDERS = ("sim", "yahoo", "file")
# The provider whose address UPSTREAM_URL changes.
MOVABLE = "yahoo"
MAX_UNIVERSE = 1000

_HOST = re.compile(r"[\w.:-]+")


def _providers(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in PROVIDERS]:
        raise ValueError(f"unknown provider {', '.join(map(repr, unknown))}")
    if len(set(names)) < len(names):
        raise ValueError("a provider is listed twice")
    return ",".join(names)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or "")):
        raise ValueError("it must be an http:// or https:// URL with a host")
    if parts.port == 0:
        raise ValueError("its port is 0")
    return text


def _database_url(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("it is not a valid database URL") from None
    if url.drivername == "sqlite":
        if url.host is not None or url.database in (None, "", ":memory:"):
            raise ValueError("it names no file")
    elif url.drivername != "postgresql":
        raise ValueError("its scheme is neither sqlite nor postgresql")
    elif url.host is not None and not _HOST.fullmatch(url.host):
        raise ValueError("its host name is not valid")
    elif url.port is not None and not 1 <= url.port <= 65535:
        raise ValueError("its port is not 1 to 65535")
    return text


def _cache_url(text: str) -> str:
    if urlsplit(check_url(text)).scheme.removeprefix("memory+") not in ("memory", "redis", "rediss"):
        raise ValueError("its scheme must be memory, redis or rediss")
    return text


def parse_watch_list(text: str) -> tuple[tuple[str, Interval], ...]:
    """Return the series of "AAPL/1d, BTC-USD/5m", each once; none of an empty text.

    Raises:
        ValueError: an entry is not SYMBOL/INTERVAL; the message names it and says what is accepted.
    """
    found: dict[tuple[str, Interval], None] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        symbol, slash, interval = entry.partition("/")
        try:
            if not slash:
                raise ValueError("an entry is SYMBOL/INTERVAL, such as AAPL/1d")
            found[parse_symbol(symbol), Interval.parse(interval)] = None
        except ValueError as error:
            raise ValueError(f"{entry!r}: {error}") from None
    return tuple(found)


def _watch_list(text: str) -> str:
    parse_watch_list(text)
    return text


_Symbol = Annotated[str, AfterValidator(parse_symbol)]


class IngestSettings(ServerSettings):
    """Environment variables, each with the prefix FINSTAGE_; the defaults run on one machine."""

    listen: str = Field("127.0.0.1:50053", description="HOST:PORT of the gRPC server")
    metrics_listen: str = Field("127.0.0.1:9053", description="HOST:PORT of metrics and health over HTTP")
    store_listen: Address | None = Field(
        None, description="HOST:PORT of MarketStoreService, which is internal; unset: on LISTEN as well"
    )
    provider: Annotated[str, AfterValidator(_providers)] = Field(
        "sim", description=f"{', '.join(PROVIDERS)}; or several with commas between, asked in that order"
    )
    upstream_url: Annotated[str, AfterValidator(_http_url)] = Field(
        "", description="http:// or https:// URL of the upstream; empty: the provider's own"
    )
    sim_url: Annotated[str, AfterValidator(_http_url)] = Field(
        "http://127.0.0.1:8080",
        min_length=1,
        description="http:// or https:// URL of the local market, for the provider sim",
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "sqlite:///var/finstage.db",
        description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with / and @ of a "
        "password as %2F and %40",
    )
    cache_url: Annotated[str, AfterValidator(_cache_url)] = Field(
        "memory://",
        description="memory:// or redis://HOST:PORT/DB: where replicas share the pace of their requests",
    )
    user_agent: str | None = Field(
        None, min_length=1, max_length=200, description="what upstreams are told we are; unset: finstage"
    )
    max_rate_per_s: float | None = Field(
        None, gt=0, le=10_000, description="requests a second at most; unset: the provider's own"
    )
    files: Path = Field(Path("var/files"), description='the folder of the provider "file"')
    impersonate: bool = Field(
        False, description="true: look like a browser, by curl_cffi (pip install finstage[impersonate])"
    )
    job_lease_s: float = Field(
        60.0, ge=1, le=3600, description="seconds after which a dead worker's chunk is taken over, 1 to 3600"
    )
    keep_records_days: int = Field(
        90, ge=1, le=36_500, description="days that ended jobs, refused rows and idle writes are kept"
    )
    watch_list: Annotated[str, AfterValidator(_watch_list)] = Field(
        "", description="series that are kept fresh by themselves: AAPL/1d, BTC-USD/5m"
    )
    universes: dict[str, Annotated[list[_Symbol], Field(min_length=1, max_length=MAX_UNIVERSE)]] = Field(
        {},
        description=f"named lists of 1 to {MAX_UNIVERSE} symbols for backfills, as JSON: "
        '{"majors": ["AAPL", "MSFT"]}',
    )
    upstream_threads: int = Field(16, ge=1, le=256, description="requests to the upstream at once, 1 to 256")
    database_threads: int = Field(8, ge=1, le=64, description="database calls at once, 1 to 64")

    @property
    def redis_url(self) -> str | None:
        """The Redis of cache_url, without the options that caches have; None: it is in memory."""
        parts = urlsplit(self.cache_url)
        scheme = parts.scheme.removeprefix("memory+")
        return None if scheme == "memory" else urlunsplit((scheme, parts.netloc, parts.path, "", ""))

    @property
    def providers(self) -> list[str]:
        """The names of the providers, in the order in which they are asked."""
        return self.provider.split(",")

    @field_validator("upstream_url")
    @classmethod
    def _of_one_provider(cls, text: str, info: ValidationInfo) -> str:
        chosen = info.data.get("provider")
        if text and chosen and MOVABLE not in chosen.split(","):
            raise ValueError(
                f"it is the address of {MOVABLE}; {PREFIX}PROVIDER is {chosen}, "
                f"and the address of sim is {PREFIX}SIM_URL"
            )
        return text

    @model_validator(mode="after")
    def _folder(self) -> Self:
        if "file" in self.providers and not self.files.is_dir():
            raise ValueError(f"{PREFIX}FILES: {str(self.files)!r} was given; it is not an existing folder")
        return self

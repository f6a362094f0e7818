"""The settings of ingest."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from libs.market.symbol import parse_symbol
from libs.rpc.settings import ServerSettings
from services.ingest.providers.catalogue import PROVIDERS
from services.ingest.schedule import parse_watch_list
from services.ingest.upstream.client import DEFAULT_USER_AGENT


def _providers(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in PROVIDERS]:
        raise ValueError(f"there is no provider {', '.join(map(repr, unknown))}")
    return ",".join(names)


def _watch_list(text: str) -> str:
    parse_watch_list(text)
    return text


class IngestSettings(ServerSettings):
    """Environment variables, each with the prefix FINSTAGE_; the defaults run on one machine."""

    listen: str = Field("127.0.0.1:50053", description="HOST:PORT of the gRPC server")
    metrics_listen: str = Field("127.0.0.1:9053", description="HOST:PORT of metrics and health over HTTP")
    provider: Annotated[str, AfterValidator(_providers)] = Field(
        "sim", description=f"{', '.join(PROVIDERS)}; or several with commas between, asked in that order"
    )
    upstream_url: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="http:// or https:// URL of the upstream; empty: the provider's own",
    )
    database_url: str = Field(
        "sqlite:///var/finstage.db",
        pattern="^(sqlite:///.+|postgresql://.+)$",
        description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    )
    cache_url: str = Field(
        "memory://",
        pattern="^(memory|rediss?)://",
        description="memory:// or redis://HOST:PORT/DB: where replicas share the pace of their requests",
    )
    user_agent: str = Field(
        DEFAULT_USER_AGENT, min_length=1, max_length=200, description="what upstreams are told we are"
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
    watch_list: Annotated[str, AfterValidator(_watch_list)] = Field(
        "", description="series that are kept fresh by themselves: AAPL/1d, BTC-USD/5m"
    )
    universes: dict[str, list[Annotated[str, AfterValidator(parse_symbol)]]] = Field(
        {}, description='named lists of symbols for backfills, as JSON: {"majors": ["AAPL", "MSFT"]}'
    )
    upstream_threads: int = Field(16, ge=1, le=256, description="requests to the upstream at once, 1 to 256")
    database_threads: int = Field(8, ge=1, le=64, description="database calls at once, 1 to 64")

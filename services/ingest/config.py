"""The settings of ingest."""

from typing import Annotated

from pydantic import AfterValidator, Field

from libs.rpc.settings import ServerSettings
from services.ingest.providers.catalogue import PROVIDERS


def _providers(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in PROVIDERS]:
        raise ValueError(f"there is no provider {', '.join(map(repr, unknown))}")
    return ",".join(names)


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
    upstream_threads: int = Field(16, ge=1, le=256, description="requests to the upstream at once, 1 to 256")
    database_threads: int = Field(8, ge=1, le=64, description="database calls at once, 1 to 64")

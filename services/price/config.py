"""The settings of price."""

from typing import Annotated

from pydantic import AfterValidator, Field

from finstage_cache import check_url
from finstage_rpc.settings import ChannelSettings, ServerSettings


class PriceSettings(ServerSettings, ChannelSettings):
    """Environment variables, each with the prefix FINSTAGE_; the defaults run on one machine."""

    listen: str = Field("127.0.0.1:50051", description="HOST:PORT of the gRPC server")
    metrics_listen: str = Field("127.0.0.1:9051", description="HOST:PORT of metrics and health over HTTP")
    ingest_target: str = Field("127.0.0.1:50053", description="HOST:PORT of ingest")
    cache_url: Annotated[str, AfterValidator(check_url)] = Field(
        "memory://",
        description="memory://, or memory+redis://HOST:PORT/DB for replicas that share what they load",
    )
    quote_fresh_s: float = Field(60, gt=0, description="seconds that a quote is served without asking again")
    bars_fresh_s: float = Field(60, gt=0, description="seconds that a series is served without asking again")
    stale_for_s: float = Field(
        7 * 86400,
        gt=0,
        description="seconds that an answer is served, marked stale, while its source is away",
    )

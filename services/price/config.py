"""The settings of price."""

from pydantic import Field

from libs.rpc.settings import ChannelSettings, ServerSettings


class PriceSettings(ServerSettings, ChannelSettings):
    """Environment variables, each with the prefix FINSTAGE_; the defaults run on one machine."""

    listen: str = Field("127.0.0.1:50051", description="host:port of the gRPC server")
    metrics_listen: str = Field("127.0.0.1:9051", description="host:port of metrics and health over HTTP")
    ingest_target: str = Field("127.0.0.1:50053", description="host:port of ingest")
    cache_url: str = Field("memory://", description="memory:// or redis://host:port/db")
    quote_fresh_s: float = Field(60, gt=0, description="seconds that a quote is served without asking again")
    bars_fresh_s: float = Field(60, gt=0, description="seconds that a series is served without asking again")
    stale_for_s: float = Field(
        7 * 86400,
        gt=0,
        description="seconds that an answer is served, marked stale, while its source is away",
    )

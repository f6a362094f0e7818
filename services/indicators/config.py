"""The settings of indicators."""

from typing import Annotated

from pydantic import AfterValidator, Field

from finstage_cache import check_url
from finstage_rpc.settings import ChannelSettings, Seconds, ServerSettings


class IndicatorsSettings(ServerSettings, ChannelSettings):
    """Environment variables, each with the prefix FINSTAGE_; the defaults run on one machine."""

    listen: str = Field("127.0.0.1:50052", description="HOST:PORT for gRPC")
    metrics_listen: str = Field("127.0.0.1:9052", description="HOST:PORT for /metrics, /healthz and /readyz")
    price_target: str = Field("127.0.0.1:50051", description="HOST:PORT of price")
    cache_url: Annotated[str, AfterValidator(check_url)] = Field(
        "memory://", description="memory://, or memory+redis://HOST:PORT/DB, which replicas share"
    )
    result_fresh_s: Seconds = Field(
        600.0, description="seconds that the result of a long computation is kept"
    )
    compute_threads: int = Field(2, ge=1, le=256, description="threads for long computations, 1 to 256")
    batch_concurrency: int = Field(
        8, ge=1, le=500, description="symbols of a batch that are worked on at once, 1 to 500"
    )

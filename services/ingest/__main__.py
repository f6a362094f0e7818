"""python -m services.ingest: config -> objects -> serve."""

import asyncio

from prometheus_client import CollectorRegistry

from libs.cache.clock import SYSTEM
from libs.market.errors import Unavailable
from libs.rpc import logs, settings
from libs.rpc.executor import BoundedExecutor
from libs.rpc.server import StartError, run, serve
from libs.rpc.service import Service
from services.ingest import market_store
from services.ingest.config import IngestSettings
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.refresh import Refresher
from services.ingest.store.sql import open_store
from services.ingest.upstream.metrics import UpstreamMetrics

# How many calls may wait for a thread of each kind: more are refused, and told when to come back.
QUEUED = 2000


async def main(config: IngestSettings) -> None:
    registry = CollectorRegistry()
    upstream = BoundedExecutor(threads=config.upstream_threads, queued=QUEUED, name="upstream")
    database = BoundedExecutor(threads=config.database_threads, queued=QUEUED, name="database")
    asked = UpstreamSettings(url=config.upstream_url, max_in_flight=config.upstream_threads)
    provider = open_provider(
        config.provider, Parts(settings=asked, clock=SYSTEM, metrics=UpstreamMetrics(registry))
    )
    try:
        store = await asyncio.to_thread(
            open_store, config.database_url, clock=SYSTEM, connections=2 * config.database_threads
        )
    except Unavailable as error:
        raise StartError(f"FINSTAGE_DATABASE_URL: {error.message}") from error
    refresher = Refresher(store, provider, upstream=upstream, database=database, clock=SYSTEM)
    reads = market_store.MarketStoreServicer(
        store, provider, refresher, upstream=upstream, database=database
    )
    await serve(config, [Service(market_store.SERVICE, reads)], registry=registry)
    upstream.close()
    database.close()
    provider.close()
    store.close()


if __name__ == "__main__":
    loaded = settings.load(IngestSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

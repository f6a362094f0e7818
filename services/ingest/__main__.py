"""python -m services.ingest: config -> objects -> serve."""

import asyncio

from prometheus_client import CollectorRegistry
from redis import Redis

from libs.cache.clock import SYSTEM
from libs.market.errors import Unavailable
from libs.rpc import logs, settings
from libs.rpc.executor import BoundedExecutor, run_blocking
from libs.rpc.server import StartError, run, serve
from libs.rpc.service import Service
from services.ingest import market_store, servicer
from services.ingest.config import IngestSettings
from services.ingest.inquiries import Inquiries
from services.ingest.jobs import JobRunner
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.refresh import Refresher
from services.ingest.series import FetchedBars, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from services.ingest.upstream.metrics import UpstreamMetrics

# How many calls may wait for a thread of each kind: more are refused, and told when to come back.
QUEUED = 2000


async def main(config: IngestSettings) -> None:
    registry = CollectorRegistry()
    upstream = BoundedExecutor(threads=config.upstream_threads, queued=QUEUED, name="upstream")
    database = BoundedExecutor(threads=config.database_threads, queued=QUEUED, name="database")
    shared = None if config.cache_url.startswith("memory:") else Redis.from_url(config.cache_url)
    asked = UpstreamSettings(url=config.upstream_url, max_in_flight=config.upstream_threads)
    providers = open_providers(
        config.provider.split(","),
        Parts(settings=asked, clock=SYSTEM, metrics=UpstreamMetrics(registry), redis=shared),
    )
    store = await _open_store(config)

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        return await run_blocking(upstream, providers.fetch_bars, key, start_ms, end_ms, deadline=None)

    jobs = JobRunner(store, fetch, database=database, clock=SYSTEM)
    writes = servicer.IngestServicer(
        store,
        database=database,
        clock=SYSTEM,
        universes={},
        wake=jobs.wake,
        upstream_status=providers.status,
    )
    reads = market_store.MarketStoreServicer(
        store,
        Inquiries(providers, upstream=upstream),
        Refresher(store, providers, upstream=upstream, database=database, clock=SYSTEM),
        database=database,
    )
    services = [
        Service(servicer.SERVICE, writes, servicer.RAW_REQUESTS),
        Service(market_store.SERVICE, reads),
    ]
    working = asyncio.create_task(jobs.run())
    await serve(config, services, registry=registry)
    working.cancel()
    upstream.close()
    database.close()
    providers.close()
    store.close()


async def _open_store(config: IngestSettings) -> Store:
    try:
        return await asyncio.to_thread(
            open_store, config.database_url, clock=SYSTEM, connections=2 * config.database_threads
        )
    except Unavailable as error:
        raise StartError(f"FINSTAGE_DATABASE_URL: {error.message}") from error


if __name__ == "__main__":
    loaded = settings.load(IngestSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

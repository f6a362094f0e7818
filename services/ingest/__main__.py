"""python -m services.ingest: config -> objects -> serve."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import redis.asyncio
from prometheus_client import CollectorRegistry
from redis import Redis
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from libs.cache.clock import SYSTEM
from libs.market.errors import Unavailable
from libs.rpc import logs, settings
from libs.rpc.background import kept_running
from libs.rpc.executor import BoundedExecutor
from libs.rpc.server import StartError, run, serve
from libs.rpc.service import Service
from services.ingest import market_store, servicer
from services.ingest.calendars import Calendars
from services.ingest.commit_feed import CommitFeed
from services.ingest.config import IngestSettings
from services.ingest.inquiries import Inquiries
from services.ingest.jobs import JobPolicy, JobRunner
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.refresh import Refresher
from services.ingest.schedule import Schedule, parse_watch_list
from services.ingest.store.api import Store
from services.ingest.store.metered import MeteredStore, StoreMetrics
from services.ingest.store.sql import open_store
from services.ingest.upkeep import keep_pruned
from services.ingest.upstream.metrics import UpstreamMetrics

# How many calls may wait for a thread of each kind: more are refused, and told when to come back.
QUEUED = 2000


async def main(config: IngestSettings) -> None:
    registry = CollectorRegistry()
    upstream = BoundedExecutor(threads=config.upstream_threads, queued=QUEUED, name="upstream")
    database = BoundedExecutor(threads=config.database_threads, queued=QUEUED, name="database")
    writing = BoundedExecutor(threads=config.database_threads, queued=QUEUED, name="database writing")
    url = config.redis_url
    # A request waits for it: where it does not answer, the pace is this process's own.
    shared_pace = (
        None if url is None else Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
    )
    # It waits for news for up to commit_feed's BLOCK_MS.
    shared_feed = None if url is None else redis.asyncio.Redis.from_url(url, socket_timeout=30.0)
    calendars = Calendars()
    asked = UpstreamSettings(
        url=config.upstream_url,
        sim_url=config.sim_url,
        user_agent=config.user_agent,
        max_rate_per_s=config.max_rate_per_s,
        max_in_flight=config.upstream_threads,
        files=config.files,
        impersonate=config.impersonate,
    )
    parts = Parts(
        settings=asked,
        clock=SYSTEM,
        metrics=UpstreamMetrics(registry),
        redis=shared_pace,
        calendars=calendars,
    )
    try:
        providers = open_providers(config.providers, parts)
    except ModuleNotFoundError as error:
        line = f"FINSTAGE_IMPERSONATE needs {error.name}: pip install finstage[impersonate]"
        raise StartError(line) from error
    store = await _open_store(config, StoreMetrics(registry))
    refresher = Refresher(
        store, providers, upstream=upstream, database=database, writing=writing, clock=SYSTEM
    )
    feed = CommitFeed(store, database=database, clock=SYSTEM, redis=shared_feed)
    schedule = Schedule(
        parse_watch_list(config.watch_list),
        refresher=refresher,
        store=store,
        database=database,
        calendars=calendars,
        clock=SYSTEM,
    )

    policy = JobPolicy(lease_s=config.job_lease_s)
    jobs = JobRunner(store, refresher.fetch, database=writing, clock=SYSTEM, policy=policy)
    writes = servicer.IngestServicer(
        store,
        database=database,
        writing=writing,
        clock=SYSTEM,
        universes=config.universes,
        wake=jobs.wake,
        upstream_status=providers.status,
    )
    reads = market_store.MarketStoreServicer(
        store,
        Inquiries(providers, upstream=upstream),
        refresher,
        feed,
        database=database,
        wall=SYSTEM.wall,
    )
    services = [
        Service(servicer.SERVICE, writes, servicer.RAW_REQUESTS),
        Service(market_store.SERVICE, reads),
    ]
    pruned = partial(
        keep_pruned, store, database=writing, clock=SYSTEM, records_s=config.keep_records_days * 86_400
    )
    parts_running: dict[str, Callable[[], Awaitable[None]]] = {
        "jobs": jobs.run,
        "commit_feed": feed.run,
        "watch_list": schedule.run,
        "upkeep": pruned,
    }
    working = [asyncio.create_task(kept_running(name, part)) for name, part in parts_running.items()]
    await serve(config, services, registry=registry)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    upstream.close()
    database.close()
    writing.close()
    providers.close()
    store.close()


async def _open_store(config: IngestSettings, metrics: StoreMetrics) -> Store:
    try:
        return await asyncio.to_thread(
            open_store,
            config.database_url,
            clock=SYSTEM,
            connections=2 * config.database_threads,
            kind=partial(MeteredStore, metrics=metrics),
        )
    except (Unavailable, OSError, SQLAlchemyError) as error:
        why = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        if isinstance(error, OSError):
            why = f"{error.filename}: {error.strerror}"
        raise StartError(f"FINSTAGE_DATABASE_URL: {' '.join(why.split())}") from error


if __name__ == "__main__":
    loaded = settings.load(IngestSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

"""python -m services.ingest: config -> objects -> serve."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import redis.asyncio
from prometheus_client import CollectorRegistry
from redis import Redis
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from finstage_market.errors import Unavailable, over_limit
from finstage_rpc import logs, settings
from finstage_rpc.server import Listener, StartError, run, serve
from finstage_rpc.service import Service
from finstage_runtime.background import running
from finstage_runtime.clock import SYSTEM
from finstage_runtime.executor import BoundedExecutor
from services.ingest import ingest_servicer, market_store_servicer
from services.ingest.config import IngestSettings, parse_watch_list
from services.ingest.fetching.lookups import Lookups
from services.ingest.fetching.refresh import Refresher
from services.ingest.fetching.watch_list import WatchList
from services.ingest.hours.calendars import Calendars
from services.ingest.jobs.maintenance import keep_finalized, keep_pruned
from services.ingest.jobs.runner import JobPolicy, JobRunner
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.providers.fallback import Providers
from services.ingest.reading.commit_feed import CommitFeed
from services.ingest.series import SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.metrics import StoreMetrics
from services.ingest.store.sql import open_store
from services.ingest.upstream.client import DEFAULT_USER_AGENT
from services.ingest.upstream.metrics import UpstreamMetrics

# How many calls may wait for a thread of each kind: more are refused, and told when to come back.
QUEUED = 2000


@dataclass(frozen=True, slots=True)
class Threads:
    """Where calls block: those of providers, reads of the store, and its writes, which may wait long for each
    other."""

    upstream: BoundedExecutor
    database: BoundedExecutor
    writing: BoundedExecutor


async def main(config: IngestSettings) -> None:
    registry, calendars = CollectorRegistry(), Calendars()
    # The last opened is closed first, so tasks, waits and threads have ended when the store closes.
    async with AsyncExitStack() as stack:
        store = await _open_store(config, StoreMetrics(registry))
        stack.callback(store.close)
        shared_pace, shared_feed = _open_redis(config.redis_url, stack)
        threads = await _open_threads(config, stack)
        parts = Parts(
            settings=_upstream_settings(config),
            clock=SYSTEM,
            metrics=UpstreamMetrics(registry),
            redis=shared_pace,
            calendars=calendars,
        )
        providers = _open_providers(config, parts)
        stack.callback(providers.close)
        refresher = Refresher(
            store,
            providers,
            upstream=threads.upstream,
            database=threads.database,
            writing=threads.writing,
            clock=SYSTEM,
        )
        feed = CommitFeed(store.commits, database=threads.database, clock=SYSTEM, redis=shared_feed)
        watch_list = WatchList(
            [SeriesKey(*each) for each in parse_watch_list(config.watch_list)],
            refresher=refresher,
            store=store,
            database=threads.database,
            calendars=calendars,
            clock=SYSTEM,
        )
        policy = JobPolicy(lease_s=config.job_lease_s)
        jobs = JobRunner(store, refresher.fetch, database=threads.writing, clock=SYSTEM, policy=policy)
        pruning = partial(
            keep_pruned,
            store.maintenance,
            database=threads.writing,
            clock=SYSTEM,
            records_s=config.keep_records_days * 86_400,
        )
        services = [_ingest_service(config, store, threads, providers, jobs)]
        market_store = _market_store_service(store, threads, providers, refresher, feed)
        at_its_own_address = []
        if config.store_listen is None:
            services.append(market_store)
        else:
            at_its_own_address.append(Listener("STORE_LISTEN", config.store_listen, [market_store]))
        beside: dict[str, Callable[[], Awaitable[None]]] = {
            "jobs": jobs.run,
            "commit_feed": feed.run,
            "watch_list": watch_list.run,
            "finalizing": partial(keep_finalized, store.maintenance, database=threads.writing),
            "pruning": pruning,
        }
        await stack.enter_async_context(running(beside))
        await serve(config, services, beside=at_its_own_address, registry=registry)


def _open_redis(url: str | None, stack: AsyncExitStack) -> tuple[Redis | None, "redis.asyncio.Redis | None"]:
    """Where replicas share the pace of their requests, and hear of each other's commits."""
    if url is None:
        return None, None
    # A request waits for it: where it does not answer, the pace is this process's own.
    pace = Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
    stack.callback(pace.close)
    # It waits for news for up to commit_feed's BLOCK_MS.
    feed = redis.asyncio.Redis.from_url(url, socket_timeout=30.0)
    stack.push_async_callback(feed.aclose)
    return pace, feed


async def _open_threads(config: IngestSettings, stack: AsyncExitStack) -> Threads:
    async def opened(name: str, threads: int) -> BoundedExecutor:
        executor = BoundedExecutor(threads=threads, queued=QUEUED, name=name, overloaded=over_limit)
        return await stack.enter_async_context(executor)

    return Threads(
        upstream=await opened("upstream", config.upstream_threads),
        database=await opened("database", config.database_threads),
        writing=await opened("database writing", config.database_threads),
    )


def _upstream_settings(config: IngestSettings) -> UpstreamSettings:
    return UpstreamSettings(
        url=config.upstream_url,
        sim_url=config.sim_url,
        user_agent=config.user_agent or DEFAULT_USER_AGENT,
        max_rate_per_s=config.max_rate_per_s,
        max_in_flight=config.upstream_threads,
        files=config.files,
        impersonate=config.impersonate,
    )


def _open_providers(config: IngestSettings, parts: Parts) -> Providers:
    try:
        return open_providers(config.providers, parts)
    except ModuleNotFoundError as error:
        line = f"FINSTAGE_IMPERSONATE needs {error.name}: pip install finstage[impersonate]"
        raise StartError(line) from error


def _ingest_service(
    config: IngestSettings, store: Store, threads: Threads, providers: Providers, jobs: JobRunner
) -> Service:
    writes = ingest_servicer.IngestServicer(
        store,
        database=threads.database,
        writing=threads.writing,
        clock=SYSTEM,
        universes=config.universes,
        wake=jobs.wake,
        upstream_status=providers.status,
        resume=providers.resume,
    )
    return Service(ingest_servicer.SERVICE, writes, ingest_servicer.RAW_REQUESTS)


def _market_store_service(
    store: Store, threads: Threads, providers: Providers, refresher: Refresher, feed: CommitFeed
) -> Service:
    reads = market_store_servicer.MarketStoreServicer(
        store,
        Lookups(providers, upstream=threads.upstream, clock=SYSTEM),
        refresher,
        feed,
        database=threads.database,
        wall=SYSTEM.wall,
    )
    return Service(market_store_servicer.SERVICE, reads)


async def _open_store(config: IngestSettings, metrics: StoreMetrics) -> Store:
    try:
        return await asyncio.to_thread(
            open_store,
            config.database_url,
            clock=SYSTEM,
            connections=2 * config.database_threads,
            metrics=metrics,
        )
    except (Unavailable, ValueError, OSError, SQLAlchemyError) as error:
        why = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        if isinstance(error, OSError):
            why = f"{error.filename}: {error.strerror}"
        raise StartError(f"FINSTAGE_DATABASE_URL: {' '.join(why.split())}") from error


if __name__ == "__main__":
    loaded = settings.load(IngestSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

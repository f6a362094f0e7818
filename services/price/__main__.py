"""python -m services.price: config -> objects -> serve."""

import time
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from finstage_cache import open_cache
from finstage_cache.metrics import CacheCollector
from finstage_rpc import logs, settings
from finstage_rpc.channel import open_channel
from finstage_rpc.metrics import CallMetrics
from finstage_rpc.server import run, serve
from finstage_rpc.service import Service
from finstage_runtime.background import running
from services.price import market_store, servicer
from services.price.commit_follower import CommitFollower
from services.price.config import PriceSettings
from services.price.market_cache import MarketCache


async def main(config: PriceSettings) -> None:
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        channel = open_channel(
            config.ingest_target,
            config,
            name="ingest",
            retry=[market_store.SERVICE],
            metrics=CallMetrics(registry, "client"),
        )
        stack.push_async_callback(channel.close)
        cache = await stack.enter_async_context(open_cache(config.cache_url, name="price"))
        registry.register(CacheCollector([cache]))
        market = MarketCache(
            cache,
            market_store.IngestMarketStore(channel),
            fresh_s=config.quote_fresh_s,
            stale_for_s=config.stale_for_s,
            now_s=time.time,
        )
        price = servicer.PriceServicer(
            market,
            quote_fresh_s=config.quote_fresh_s,
            bars_fresh_s=config.bars_fresh_s,
            now_s=time.time,
        )
        follower = CommitFollower(channel, changed=market.outdate, lost=market.outdate_all)
        await stack.enter_async_context(running({"commit_follower": follower.run}))
        await serve(config, [Service(servicer.SERVICE, price)], registry=registry)


if __name__ == "__main__":
    loaded = settings.load(PriceSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

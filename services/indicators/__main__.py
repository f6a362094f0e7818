"""python -m services.indicators: config -> objects -> serve."""

from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from finstage_cache import open_cache
from finstage_cache.metrics import CacheCollector
from finstage_market.errors import over_limit
from finstage_rpc import logs, settings
from finstage_rpc.channel import open_channel
from finstage_rpc.metrics import CallMetrics
from finstage_rpc.server import run, serve
from finstage_runtime.executor import BoundedExecutor
from services.indicators.bars import PRICE, PriceBars
from services.indicators.config import IndicatorsSettings
from services.indicators.engine import Engine
from services.indicators.servicer import IndicatorServicer, indicator_service
from services.indicators.variants import whole_catalogue


async def main(config: IndicatorsSettings) -> None:
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        channel = open_channel(
            config.price_target,
            config,
            name="price",
            retry=[PRICE],
            metrics=CallMetrics(registry, "client"),
        )
        stack.push_async_callback(channel.close)
        executor = BoundedExecutor(
            threads=config.compute_threads,
            queued=100 * config.compute_threads,
            name="compute",
            overloaded=over_limit,
        )
        stack.callback(executor.close)
        cache = await stack.enter_async_context(open_cache(config.cache_url, name="indicators"))
        registry.register(CacheCollector([cache]))
        servicer = IndicatorServicer(
            whole_catalogue(),
            Engine(cache, executor, fresh_s=config.result_fresh_s),
            PriceBars(channel, timeout_s=config.call_timeout_s),
            batch_concurrency=config.batch_concurrency,
        )
        await serve(config, [indicator_service(servicer)], registry=registry)


if __name__ == "__main__":
    loaded = settings.load(IndicatorsSettings)
    logs.configure(level=loaded.log_level, log_format=loaded.log_format)
    run(main(loaded))

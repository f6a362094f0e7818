"""The end of the ingest process on a signal."""

import time
from pathlib import Path

from finstage_client import Client
from finstage_runtime.clock import SYSTEM
from services.ingest.store.sql import open_store
from tests.e2e.running import ServiceProcess, free_ports
from tests.ingest.scripted_upstream import Answer, upstream
from tests.redis_server import RedisServer


def test_it_ends_while_a_backfill_waits_for_the_upstream_and_gives_its_chunk_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/finstage.db"
    with RedisServer() as redis, upstream(Answer(429, headers={"Retry-After": "60"})) as market:
        ingest = ServiceProcess(
            "ingest",
            tmp_path,
            *free_ports(2),
            PROVIDER="sim",
            SIM_URL=market.url,
            DATABASE_URL=url,
            CACHE_URL=redis.url,
        )
        ingest.start()
        try:
            with Client(ingest=ingest.target) as client:
                client.backfill(["AAPL", "MSFT"], ["1d"])
                while not market.asked:
                    time.sleep(0.01)
            assert ingest.stop(within_s=20) == 0
        finally:
            ingest.kill()
    log = (tmp_path / "ingest.log").read_text()
    assert "Traceback" not in log, log
    store = open_store(url, clock=SYSTEM)
    leases = [store.jobs.lease_chunk(worker="next", lease_s=60) for _ in range(2)]
    store.close()
    assert [(lease.key.symbol, lease.attempt) for lease in leases if lease] == [("AAPL", 1), ("MSFT", 1)]

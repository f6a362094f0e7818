"""The long proof of libs/cache: python -m proof.cache

The envelope decoder gets a million inputs, and Redis fails twenty times under load.
"""

import asyncio
import sys
import time
from typing import Any

from bench import report
from bench.report import sized
from finstage_cache import open_cache
from proof.cache_faults import BOUND_S, Load, strike, url_of
from proof.cache_fuzz import Fuzz, seeds
from tests.redis_server import RedisServer

INPUTS = sized(1_000_000, 10_000)
PER_SEED = 50_000
STRIKES = sized(5, 1)
BEFORE_S, AWAY_S = sized((1.0, 1.5), (0.2, 0.5))
CALLERS = 100


def fuzz() -> dict[str, Any]:
    """Prove that the decoder raises only its own two errors and never returns a wrong value."""
    outcomes: dict[str, int] = {}
    failures: list[str] = []
    for seed, inputs in seeds(1, INPUTS, PER_SEED):
        run = Fuzz(seed)
        run.run(inputs)
        for outcome, count in run.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        failures += [f"seed {seed}: {failure}" for failure in run.failures]
    return {"name": "envelope fuzz", "tried": INPUTS, "outcomes": outcomes, "failed": failures}


async def faults() -> list[dict[str, Any]]:
    """Prove that no error reaches a caller, p99 is bounded, each key loads once, and the cache recovers."""
    reports = []
    for tiered in (False, True):
        for fault in ("kill", "pause"):
            with RedisServer() as server:
                async with open_cache(url_of(server, tiered=tiered)) as cache:
                    load = Load(cache)
                    load.start(CALLERS)
                    for _ in range(STRIKES):
                        await asyncio.sleep(BEFORE_S)
                        await strike(cache, server, fault, away_s=AWAY_S)
                    await load.stop()
                    unanswered = cache.stats().errors
            kind = "memory over Redis" if tiered else "Redis"
            reports.append(
                {
                    "name": f"{kind}: {fault} under load",
                    "tried": f"{STRIKES} times, {len(load.waits)} calls, {unanswered} requests unanswered",
                    "p99_s": load.p99_s(),
                    "worst_s": max(load.waits),
                    "bound_s": BOUND_S,
                    "failed": load.failures(),
                }
            )
    return reports


def main() -> bool:
    began = time.monotonic()
    proofs = [fuzz(), *asyncio.run(faults())]
    for proof in proofs:
        print(f"{'FAILED' if proof['failed'] else 'holds '}  {proof['name']}: {proof['tried']}")
        for failure in proof["failed"]:
            print(f"        {failure}")
    print(f"{time.monotonic() - began:.0f} s")
    report.save("proof/cache", proofs)
    return not any(proof["failed"] for proof in proofs)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)

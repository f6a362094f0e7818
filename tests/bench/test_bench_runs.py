"""Every bench runs in its brief form: on its real code path, at a small size, without judging goals."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
BENCHES = sorted(
    path.stem for path in (REPO / "bench").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)
STORES = ("SQLite", "PostgreSQL")
POLICIES = ("memory", "LRU", "theine", "Belady's optimum")
MEASUREMENTS: dict[str, set[str]] = {
    "cache": {
        *("dict.get", "functools.lru_cache hit", "dict with expiry", "cachetools.TTLCache with a lock"),
        *("theine get", "dogpile.cache get", "dogpile.cache get_or_create", "cashews get", "aiocache get"),
        *("memory: get", "memory: get_or_load", "tiered: get", "tiered: get_or_load"),
        "a coroutine that does nothing",
        *(f"set with eviction: memory at {entries} entries" for entries in ("1,000", "10,000", "100,000")),
        *("set with eviction: theine", "set with eviction: cachetools.TTLCache with a lock"),
        *("redis.asyncio: get", "redis: get", "redis-py (blocking): get", "cashews over Redis: get"),
        *("redis.asyncio: mget of 200", "redis: get_many of 200"),
        *(f"hit ratio, Zipf(1.0){scans}: {name}" for scans in ("", " with scans") for name in POLICIES),
    },
    "indicators": {
        *("bare TA-Lib", "the account's way", "specs to arrays"),
        *("one call over gRPC", "nine calls over gRPC"),
    },
    "ingest": {
        f"{store}{case}"
        for store in STORES
        for case in (
            *(", 1,000 rows: the limit", ", 1,000 rows: bulk_insert_mappings 1000"),
            *(", 1,000 rows: ORM add + commit per row", ", 1,000 rows: ORM change + commit per row"),
            *(", 1,000 rows: SQLAlchemy Core upsert", ", 1,000 rows: SQLAlchemy Core upsert, again"),
            *(", 1,000 rows: ours, empty", ", 1,000 rows: ours, again", ", 1,000 rows: ours, mixed"),
            ", 1,000 rows: ours",
            ": client to commit, 1,000 rows",
            ": read 500 bars, database to wire bytes",
            ": memory after a stream of 10,000 rows",
        )
    },
    "upstream": {
        "read 2,500 bars: json + pandas, a frame unchecked",
        "read 2,500 bars: json + pandas, the same checked bars and events",
        *("read 2,500 bars: provider", "read 2,500 bars: provider, against the frame"),
        *("one price: new connection, 0.1 s pause", "one price: pooled", "one price: cached"),
    },
    "wire": {
        *("1,000 bars, row messages", "1,000 bars, packed by extend", "1,000 bars, assembled (ours)"),
        *("1,000 bars, Arrow Flight", "1,000 bars, ours against the limit"),
        *("2,514 bars of JSON, json and pandas", "2,514 bars of JSON, ingest's parser"),
    },
}


@pytest.fixture(scope="module")
def servers(postgres_admin_url: str, redis_url: str) -> dict[str, str]:
    return {"FINSTAGE_TEST_POSTGRES_URL": postgres_admin_url, "FINSTAGE_TEST_REDIS_URL": redis_url}


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_reports_every_row(bench: str, servers: dict[str, str], tmp_path: Path) -> None:
    environment = {**os.environ, **servers, "FINSTAGE_BRIEF": "1", "FINSTAGE_REPORTS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{bench}"],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows: list[dict[str, Any]] = json.loads((tmp_path / "bench" / f"{bench}.json").read_text())
    assert {row["name"] for row in rows} == MEASUREMENTS[bench]
    assert [row["name"] for row in rows if not row["value"] > 0] == []
    assert {row["holds"] for row in rows} == {None}
    absolute = [row["name"] for row in rows if row["goal"] and row["ratio"] is None and row["unit"] != "MiB"]
    assert absolute == [], "a goal is a ratio within the run; memory alone may be absolute"

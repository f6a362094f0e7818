"""WriteBars on a stalled database: the client waits, and ingest buffers no more than it must."""

import asyncio
import sqlite3
from pathlib import Path

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_runtime.clock import ManualClock
from services.ingest.series import SeriesKey
from services.ingest.store.sql import open_store
from tests.ingest.ingest_server import bar_batch, running_ingest, series_of
from tests.ingest.stores import KEY

BATCHES, ROWS = 60, 8_000


async def test_reads_go_on_while_writes_wait(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "finstage.db"
    store = open_store(f"sqlite:///{path}", clock=clock)
    other = sqlite3.connect(path, isolation_level=None)
    async with running_ingest(store, clock=clock) as ingest:
        other.execute("BEGIN IMMEDIATE")
        headers = [pb.WriteBarsHeader(idempotency_key=f"k{i}", source="client:test") for i in range(10)]
        writes = [asyncio.create_task(ingest.write(header, [])) for header in headers]
        await asyncio.sleep(0.2)
        assert not any(write.done() for write in writes)
        assert not (await ingest.stub.ListJobs(pb.ListJobsRequest(), timeout=5)).jobs
        other.rollback()
        assert [ready.next_sequence for ready, _ in await asyncio.gather(*writes)] == [1] * 10
    other.close()
    store.close()


async def test_a_stalled_database_makes_the_client_wait(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "finstage.db"
    store = open_store(f"sqlite:///{path}", clock=clock)
    bars = series_of(ROWS)
    sent = 0

    async def send() -> None:
        nonlocal sent
        for sequence in range(1, BATCHES + 1):
            batch = bar_batch(sequence, bars, symbol=f"S{sequence}")
            await call.write(pb.WriteBarsRequest(batch=batch))
            sent += 1
        await call.done_writing()

    async with running_ingest(store, clock=clock) as ingest:
        call = ingest.stub.WriteBars()
        header = pb.WriteBarsHeader(idempotency_key="k", source="client:test")
        await call.write(pb.WriteBarsRequest(header=header))
        await call.read()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(send())
        before = -1
        while before < sent or not sent:
            before = sent
            await asyncio.sleep(0.5)
        held_up_after = sent
        other.rollback()
        other.close()
        acks = [(await call.read()).ack for _ in range(BATCHES)]
        await sending
    assert held_up_after < BATCHES / 2
    assert [ack.rows.inserted for ack in acks] == [ROWS] * BATCHES
    state = store.bars.state(SeriesKey(f"S{BATCHES}", KEY.interval))
    assert state is not None
    assert state.count == ROWS
    store.close()

"""A database that is away for a while: calls are UNAVAILABLE, and nothing is damaged."""

import shutil
from pathlib import Path

import psycopg
import pytest

from finstage_market.errors import Unavailable
from finstage_runtime.clock import ManualClock
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from tests.ingest.stores import KEY, bars, closes, fetched, tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "finstage.db"


def write(store: Store, day: int) -> None:
    store.fetched.write(fetched(bars({day: 10}), first_day=day))


def test_a_server_that_became_a_standby_is_away_until_it_is_promoted(
    postgres_url: str, clock: ManualClock
) -> None:
    store = open_store(postgres_url, clock=clock)
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        for only_reads, fails in (("on", True), ("off", False)):
            admin.execute(
                f'ALTER DATABASE "{name}" SET default_transaction_read_only = {only_reads}'.encode()
            )
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            admin.execute("SET default_transaction_read_only = off")
            if fails:
                with pytest.raises(Unavailable, match="read-only"):
                    write(store, 0)
    write(store, 0)
    assert closes(tail(store, KEY, 9)) == {0: 10}
    store.close()


def test_a_file_that_was_deleted_takes_no_more_writes_and_is_used_again_when_it_is_back(
    path: Path, clock: ManualClock
) -> None:
    store = open_store(f"sqlite:///{path}", clock=clock)
    write(store, 0)
    aside = path.rename(path.with_suffix(".aside"))
    for call in (lambda: write(store, 1), lambda: tail(store, KEY, 9)):
        with pytest.raises(Unavailable, match="deleted or replaced"):
            call()
    assert not path.exists()
    aside.rename(path)
    write(store, 1)
    assert closes(tail(store, KEY, 9)) == {0: 10, 1: 10}
    store.close()


def test_a_file_that_was_replaced_is_not_written_beside(path: Path, clock: ManualClock) -> None:
    store = open_store(f"sqlite:///{path}", clock=clock)
    write(store, 0)
    copy = Path(shutil.copy(path, path.with_suffix(".copy")))
    copy.rename(path)
    with pytest.raises(Unavailable, match="deleted or replaced"):
        write(store, 1)
    store.close()


def test_a_file_that_is_not_a_database_is_unavailable(path: Path, clock: ManualClock) -> None:
    path.write_text("date,open,high,low,close\n" * 1000)
    with pytest.raises(Unavailable, match="not a database"):
        open_store(f"sqlite:///{path}", clock=clock)

"""The tables: made by migrations, as the code has them, once, whoever comes first."""

import threading
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from libs.cache.clock import SYSTEM
from libs.market.errors import Unavailable
from services.ingest.store.api import Store
from services.ingest.store.schema import metadata
from services.ingest.store.sql import open_store


def test_the_migrations_make_the_tables_that_the_code_has(store: Store, store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _ours})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in metadata.tables


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_start_at_once_make_them_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store_url = (
        f"sqlite:///{tmp_path}/new.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    )
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_store(store_url, clock=SYSTEM).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_intraday_bars_are_partitioned_by_time(postgres_url: str) -> None:
    open_store(postgres_url, clock=SYSTEM).close()
    by_year = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'bars_intraday'::regclass"
    by_timescale = "SELECT hypertable_name, column_name FROM timescaledb_information.dimensions"
    with psycopg.connect(postgres_url) as connection:
        if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
            assert connection.execute(by_timescale).fetchall() == [("bars_intraday", "open_time_ms")]
        else:
            assert connection.execute(by_year).fetchall() == [(17,)]


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        open_store(url, clock=SYSTEM)


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for url in ("postgresql://127.0.0.1:1/none", f"sqlite:///{tmp_path}/folder"):
        with pytest.raises(Unavailable):
            open_store(url, clock=SYSTEM)

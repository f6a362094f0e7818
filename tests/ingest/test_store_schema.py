"""The tables: migrations create them once, as the code defines them, whichever process comes first."""

import threading
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from finstage_market.errors import Unavailable
from finstage_runtime.clock import SYSTEM
from services.ingest.store.api import Store
from services.ingest.store.migrate import migrate
from services.ingest.store.schema import metadata
from services.ingest.store.sql import open_store


def test_the_migrations_create_the_tables_of_the_code(store: Store, store_url: str) -> None:
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


def test_a_missing_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for url in ("postgresql://127.0.0.1:1/none", f"sqlite:///{tmp_path}/folder"):
        with pytest.raises(Unavailable):
            open_store(url, clock=SYSTEM)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_of_the_first_release_keeps_its_adjusted_closes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/old.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    held = (
        "INSERT INTO series (symbol, interval, epoch, revision, bar_count, first_ms, last_ms, last_is_final,"
        " source, fetched_at_ms, adjusted_at_ms)"
        " VALUES (:symbol, '1d', 1, 1, 0, 5, 9, true, 's', :fetched, :adjusted)"
    )
    with engine.begin() as connection:
        migrate(connection, to="0001")
        for symbol, fetched_ms, adjusted_ms in (
            ("A", 7, 7),
            ("B", 7, None),
            ("C", None, 6),
            ("D", None, None),
        ):
            values = {"symbol": symbol, "fetched": fetched_ms, "adjusted": adjusted_ms}
            connection.execute(text(held), values)
    open_store(url, clock=SYSTEM).close()
    with engine.connect() as connection:
        query = (
            "SELECT symbol, write_id, adjusted_to_ms FROM stretches JOIN series ON id = series_id ORDER BY 1"
        )
        found = connection.execute(text(query)).all()
    engine.dispose()
    assert found == [("A", None, 7), ("C", 0, 6), ("D", 0, None)]


def test_tables_of_a_newer_release_are_left_alone(store: Store, store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    step = text("UPDATE alembic_version SET version_num = :step")
    try:
        with engine.begin() as connection:
            known = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            connection.execute(step, {"step": "9999"})
        with pytest.raises(ValueError, match="a newer release made its tables"):
            open_store(store_url, clock=SYSTEM)
    finally:
        with engine.begin() as connection:
            connection.execute(step, {"step": known})
        engine.dispose()


def test_a_read_only_role_is_reported_at_the_start(postgres_url: str) -> None:
    open_store(postgres_url, clock=SYSTEM).close()
    role = f"reader_{postgres_url.rpartition('_')[2]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN".encode())
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}".encode())
        with pytest.raises(ValueError, match=f"the role {role} lacks the privilege INSERT on "):
            open_store(postgres_url.replace("//postgres@", f"//{role}@"), clock=SYSTEM)
        admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())

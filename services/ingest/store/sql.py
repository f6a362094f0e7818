"""The store on SQLAlchemy: SQLite or PostgreSQL, chosen by the URL."""

from collections.abc import Callable

from sqlalchemy import make_url

from finstage_runtime.clock import Clock
from services.ingest.store.api import Store
from services.ingest.store.client_writes import ClientWriting
from services.ingest.store.database import Database
from services.ingest.store.fetched import FetchedWriting
from services.ingest.store.instruments import Instruments
from services.ingest.store.jobs import JobLedger
from services.ingest.store.maintenance import Upkeep
from services.ingest.store.postgres import PostgresDatabase
from services.ingest.store.reading import SeriesReading
from services.ingest.store.rejections import Rejections
from services.ingest.store.sqlite import SqliteDatabase

CONNECTIONS = 8


class SqlStore(SeriesReading, FetchedWriting, ClientWriting, Rejections, Instruments, JobLedger, Upkeep):
    """services.ingest.store.api.Store: its parts together."""

    def close(self) -> None:
        """As Store.close()."""
        self._database.close()


def open_store(
    url: str,
    *,
    clock: Clock,
    connections: int = CONNECTIONS,
    kind: Callable[[Database, Clock], Store] = SqlStore,
) -> Store:
    """Open the store, and bring its tables to this release's.

    Args:
        url: sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user:password@host/name.
        connections: how many calls may use the database at once; others wait.
        kind: what makes the store of its database.

    Raises:
        ValueError: it is neither; or the role lacks a privilege, or a newer release made the tables.
        Unavailable: SERVICE_UNAVAILABLE: the database does not answer.
    """
    parsed = make_url(url)
    database: Database
    match parsed.get_backend_name():
        case "sqlite":
            database = SqliteDatabase(parsed, connections=connections)
        case "postgresql":
            database = PostgresDatabase(parsed, connections=connections)
        case other:
            raise ValueError(f"a database URL begins with sqlite:/// or postgresql://, not {other}")
    database.migrate()
    return kind(database, clock)

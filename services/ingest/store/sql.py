"""Opens the store on SQLite or PostgreSQL, chosen by the URL."""

from prometheus_client import CollectorRegistry
from sqlalchemy import make_url

from finstage_runtime.clock import Clock
from services.ingest.store.api import Store
from services.ingest.store.client_writes import ClientWriter
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import Database
from services.ingest.store.deletions import Deletions
from services.ingest.store.fetched import FetchedWriter
from services.ingest.store.instruments import Instruments
from services.ingest.store.jobs import JobLedger
from services.ingest.store.maintenance import Maintenance
from services.ingest.store.metrics import StoreMetrics
from services.ingest.store.postgres import PostgresDatabase
from services.ingest.store.reading import BarReader
from services.ingest.store.rejections import Rejections
from services.ingest.store.sqlite import SqliteDatabase

CONNECTIONS = 8


def open_store(
    url: str, *, clock: Clock, connections: int = CONNECTIONS, metrics: StoreMetrics | None = None
) -> Store:
    """Open the store, and migrate its tables to this release's.

    Args:
        url: sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user:password@host/name.
        connections: how many calls may use the database at once; further calls wait.
        metrics: what counts the writes; None: nobody reads the counts.

    Raises:
        ValueError: the URL is neither; or the role lacks a privilege, or a newer release made the tables.
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
    commits = CommitLog(database)
    metrics = metrics or StoreMetrics(CollectorRegistry())
    return Store(
        bars=BarReader(database),
        fetched=FetchedWriter(database, clock, commits, metrics),
        writes=ClientWriter(database, clock, commits, metrics),
        deletions=Deletions(database, clock, commits),
        rejections=Rejections(database),
        instruments=Instruments(database),
        commits=commits,
        jobs=JobLedger(database, clock),
        maintenance=Maintenance(database, clock, commits),
        database=database,
    )

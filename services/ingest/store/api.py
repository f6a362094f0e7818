"""The store: what ingest keeps in its database. services.ingest.store.sql.open_store() opens it.

Every method blocks, so callers on an event loop run it in a bounded executor. A store may be used from many
threads at once. Times are int milliseconds since 1970-01-01T00:00:00Z.

Every method may raise Unavailable (SERVICE_UNAVAILABLE) when the database is away, locked or full. Nothing
of the call was committed then, unless the connection broke during the commit itself. The caller repeats the
call; every write is idempotent, so nothing is counted twice.

A series has a version, written in the same transaction as its bars and its line in the log of commits:

- the first write gives epoch 1, revision 1;
- a write that only adds bars after the last final one, changes the forming bar, or makes it final, adds one
  to the revision;
- a write that changes or removes a final bar, adds a bar before the last final one, or brings an unknown
  dividend (earlier prices read differently with adjustment ALL) adds one to both;
- a write that changes nothing changes no version and is no commit. A final bar that is written again with
  the same values stays final.
"""

from dataclasses import dataclass

from services.ingest.store.client_writes import ClientWriter
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import Database
from services.ingest.store.deletions import Deletions
from services.ingest.store.fetched import FetchedWriter
from services.ingest.store.instruments import Instruments
from services.ingest.store.jobs import JobLedger
from services.ingest.store.maintenance import Maintenance
from services.ingest.store.reading import BarReader
from services.ingest.store.rejections import Rejections


@dataclass(frozen=True, slots=True)
class Store:
    """What ingest keeps, by subject. Each attribute can be used, and passed on, without the others.

    bars: reads series. fetched: writes what providers brought. writes: writes what clients send.
    deletions: deletes bars that should never have been stored.
    rejections: the rows that were refused. commits: the log of changes to series.
    jobs: backfills and who works on them. maintenance: what is to be done from time to time.
    """

    bars: BarReader
    fetched: FetchedWriter
    writes: ClientWriter
    deletions: Deletions
    rejections: Rejections
    instruments: Instruments
    commits: CommitLog
    jobs: JobLedger
    maintenance: Maintenance
    database: Database

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

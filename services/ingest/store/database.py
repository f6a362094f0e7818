"""A database as the store needs it: transactions, and fast reading and writing of bars."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Engine, Table, exc

from finstage_market.columns import Int64s
from finstage_market.errors import Reason, Unavailable
from services.ingest.store.diff import Bars

MIN_MS = -(2**63)
MAX_MS = 2**63 - 1

RETRY_AFTER_S = 1.0


class Database(ABC):
    """One kind of database. SQLAlchemy has the connections and all small tables; bars go by the driver.

    Methods that take a connection work within its transaction.
    """

    def __init__(self, *, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        self._writing = writing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database from its first query to its end.

        Raises:
            Unavailable: SERVICE_UNAVAILABLE.
        """
        with self._guarded(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back with the exception that left it.

        Raises:
            Unavailable: SERVICE_UNAVAILABLE.
        """
        with self._guarded(), self._writing.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._reading.dispose()
        self._writing.dispose()

    @abstractmethod
    def migrate(self) -> None:
        """Bring the tables to this release's, under a lock."""

    @abstractmethod
    def lock(self, connection: Connection, symbols: Sequence[str]) -> None:
        """Hold off every other writer of these symbols until the transaction ends."""

    @abstractmethod
    def bars_between(
        self,
        connection: Connection,
        table: Table,
        series_id: int,
        *,
        start_ms: int = MIN_MS,
        end_ms: int = MAX_MS,
        limit: int | None = None,
        newest: bool = False,
        with_adjusted: bool = False,
    ) -> Bars:
        """The bars that opened in [start_ms, end_ms), oldest first; of these the first or newest `limit`."""

    @abstractmethod
    def bars_at(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> Bars:
        """The bars that opened at these times, oldest first, with their adjusted closes."""

    @abstractmethod
    def insert_bars(self, connection: Connection, table: Table, parts: Sequence[tuple[int, Bars]]) -> None:
        """Add bars, by series id, that are known not to be there."""

    @abstractmethod
    def update_bars(self, connection: Connection, table: Table, parts: Sequence[tuple[int, Bars]]) -> None:
        """Overwrite bars, by series id, that are known to be there; adjusted closes too, with or without."""

    @abstractmethod
    def delete_bars(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> None:
        """Remove bars."""

    @property
    @abstractmethod
    def xact_id(self) -> ColumnElement[int]:
        """What orders this transaction's lines in the outbox before those that become visible later."""

    @property
    @abstractmethod
    def settled_xact_id(self) -> ColumnElement[int]:
        """Lines of the outbox below this are all visible: none will appear among them any more."""

    @abstractmethod
    def is_away(self, error: BaseException) -> bool:
        """Whether an error of the driver says that the database is away, locked or full."""

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except exc.TimeoutError as error:
            raise unavailable("no connection to the database was free in time") from error
        except exc.DBAPIError as error:
            if error.orig is not None and self.is_away(error.orig):
                raise unavailable(str(error.orig)) from error
            raise
        except Exception as error:
            if self.is_away(error):
                raise unavailable(str(error)) from error
            raise


def unavailable(why: str) -> Unavailable:
    """The database cannot be used now."""
    return Unavailable(
        Reason.SERVICE_UNAVAILABLE,
        f"the database does not answer: {why.strip()}",
        retry_after_s=RETRY_AFTER_S,
    )

"""The database port: transactions, and fast reading and writing of bars."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Engine, Table, exc

from finstage_market.columns import Int64s
from services.ingest.store.diff import Bars
from services.ingest.store.errors import unavailable

MIN_MS = -(2**63)
MAX_MS = 2**63 - 1


class Database(ABC):
    """One kind of database. Small tables are used through SQLAlchemy, bars through the driver itself.

    Methods that take a connection work within its transaction.
    """

    def __init__(self, *, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        self._writing = writing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database from its first query to its end.

        Raises:
            Unavailable: SERVICE_UNAVAILABLE.
        """
        with self._guarded(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that is committed at the end, or rolled back when an exception leaves it.

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
        """Migrate the tables to this release's, under a lock."""

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
        """Return the first or newest `limit` bars that opened in [start_ms, end_ms), oldest first."""

    @abstractmethod
    def bars_at(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> Bars:
        """Return the bars that opened at these times, oldest first, with their adjusted closes."""

    @abstractmethod
    def insert_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        """Insert bars, by series id, that are known not to be stored."""

    @abstractmethod
    def update_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        """Overwrite bars, by series id, that are known to be stored; their adjusted closes too."""

    @abstractmethod
    def delete_bars(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> None:
        """Delete the bars that opened at these times."""

    @property
    @abstractmethod
    def xact_id(self) -> ColumnElement[int]:
        """The number that orders this transaction's outbox lines before those that become visible later."""

    @property
    @abstractmethod
    def visible_below_xact_id(self) -> ColumnElement[int]:
        """The number below which all outbox lines are visible: no more will appear among them."""

    @abstractmethod
    def is_away(self, error: BaseException) -> bool:
        """Whether a driver's error means that the database is away, locked or full."""

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

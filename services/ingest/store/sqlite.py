"""SQLite, the embedded database. WAL: readers never wait. FULL: a commit survives a power cut."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import numpy as np
from sqlalchemy import URL, ColumnElement, Connection, Engine, Table, create_engine, event, literal

from finstage_market.columns import Columns, Int64s
from services.ingest.store.database import MAX_MS, MIN_MS, Database
from services.ingest.store.diff import Bars
from services.ingest.store.errors import unavailable
from services.ingest.store.migrate import migrate

_BUSY_S = 10.0
# Checkpoints every 40 MB of log make writing 10 % faster than the default of 4 MB.
_CHECKPOINT_PAGES = 10_000
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
}
_VALUES = "open_time_ms, open, high, low, close, volume"


class SqliteDatabase(Database):
    """A file, with one writer at a time: the writing engine has one connection."""

    def __init__(self, url: URL, *, connections: int) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("a SQLite URL names a file: sqlite:///var/finstage.db")
        self._path = Path(url.database)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: tuple[int, int] | None = None
        super().__init__(
            reading=_engine(url, "BEGIN", connections), writing=_engine(url, "BEGIN IMMEDIATE", 1)
        )

    def migrate(self) -> None:
        # BEGIN IMMEDIATE is the lock: another process waits for it, and then finds nothing to do.
        with self.write() as connection:
            migrate(connection)
        self._file = self._found()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._require_file()
        with super().read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self._require_file()
        with super().write() as connection:
            yield connection

    def _require_file(self) -> None:
        """Refuse a deleted or replaced file: open connections would write to it, and lose the writes."""
        if self._file is not None and self._found() != self._file:
            raise unavailable(f"{self._path} was deleted or replaced; start ingest again")

    def _found(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0)
        return status.st_dev, status.st_ino

    def lock(self, connection: Connection, symbols: Sequence[str]) -> None:
        """Do nothing: the transaction itself keeps out every other writer."""

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
        columns = f"{_VALUES}, adjusted_close" if with_adjusted else _VALUES
        rows = _driver(connection).execute(
            f"SELECT {columns} FROM {table.name}"
            " WHERE series_id = ? AND open_time_ms >= ? AND open_time_ms < ?"
            f" ORDER BY open_time_ms {'DESC' if newest else ''} LIMIT ?",
            (series_id, start_ms, end_ms, -1 if limit is None else limit),
        )
        bars = _bars(rows.fetchall(), with_adjusted=with_adjusted)
        return bars.reversed() if newest else bars

    def bars_at(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> Bars:
        rows = _driver(connection).execute(
            f"SELECT {_VALUES}, adjusted_close FROM json_each(?) AS asked"
            f" JOIN {table.name} ON series_id = ? AND open_time_ms = asked.value ORDER BY open_time_ms",
            (str(times.tolist()), series_id),
        )
        return _bars(rows.fetchall(), with_adjusted=True)

    def insert_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        names = f"series_id, {_VALUES}"
        for series_id, each in bars:
            values = _values(each)
            if each.adjusted_close is None:
                sql = f"INSERT INTO {table.name} ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            else:
                sql = f"INSERT INTO {table.name} ({names}, adjusted_close) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                values.append(each.adjusted_close.tolist())
            _driver(connection).executemany(sql, zip(repeat(series_id), *values))

    def update_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        for series_id, each in bars:
            times, *values = _values(each)
            values.append([None] * len(each) if each.adjusted_close is None else each.adjusted_close.tolist())
            _driver(connection).executemany(
                f"UPDATE {table.name} SET open = ?, high = ?, low = ?, close = ?, volume = ?,"
                " adjusted_close = ? WHERE series_id = ? AND open_time_ms = ?",
                zip(*values, repeat(series_id), times),
            )

    def delete_bars(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> None:
        _driver(connection).executemany(
            f"DELETE FROM {table.name} WHERE series_id = ? AND open_time_ms = ?",
            zip(repeat(series_id), times.tolist()),
        )

    @property
    def xact_id(self) -> ColumnElement[int]:
        return literal(0)  # one writer: ids become visible in order

    @property
    def visible_below_xact_id(self) -> ColumnElement[int]:
        return literal(1)

    def is_away(self, error: BaseException) -> bool:
        # The low byte of an extended code is the primary code.
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _AWAY


def _engine(url: URL, begin: str, connections: int) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_BUSY_S,
        # The driver must not begin transactions by itself.
        connect_args={"timeout": _BUSY_S, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _values(bars: Bars) -> list[list[int] | list[float] | list[None]]:
    columns = bars.columns
    return [
        columns.open_time_ms.tolist(),
        columns.open.tolist(),
        columns.high.tolist(),
        columns.low.tolist(),
        columns.close.tolist(),
        columns.volume.tolist(),
    ]


def _bars(rows: list[tuple[float | None, ...]], *, with_adjusted: bool) -> Bars:
    # float64 holds every open time exactly: they are below 2**53.
    table = np.array(rows, dtype=np.float64).reshape(-1, 7 if with_adjusted else 6)
    times, *values = (np.ascontiguousarray(column) for column in table.T)
    return Bars(Columns(times.astype(np.int64), *values[:5]), values[5] if with_adjusted else None)

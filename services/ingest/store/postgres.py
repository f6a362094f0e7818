"""PostgreSQL. Bars are written by binary COPY from NumPy buffers, and read as one array per column.

COPY goes into the table itself: the caller knows which rows are new, and which replace others. No Python
object is made per value.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    create_engine,
    event,
    text,
)
from sqlalchemy import literal_column as column_sql
from sqlalchemy.dialects.postgresql import ARRAY

from finstage_market.columns import VALUES, Columns, Int64s
from services.ingest.store.database import MAX_MS, MIN_MS, Database
from services.ingest.store.diff import Bars
from services.ingest.store.migrate import migrate
from services.ingest.store.schema import metadata

# Options of libpq; those of the URL win. Connections to a host that is cut off end after about 25 s.
_CONNECT: dict[str, str | int] = {
    "application_name": "finstage-ingest",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_MIGRATION_LOCK = 7_461_002_113_094_555_001
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_ARRAY_HEADER_BYTES = 20
_INT8, _INT8_ARRAY = 20, 1016  # their type numbers
_ELEMENT = {kind: np.dtype([("length", ">i4"), ("value", kind)]) for kind in (">i8", ">f8")}
_NAMES = ("open_time_ms", *VALUES)
# Connection lost; read-only (a standby); rolled back because of another transaction; out of resources (disk
# full); lock not available; shut down by an operator.
_AWAY_CODES = ("08", "25006", "40", "53", "55P03", "57")


class PostgresDatabase(Database):
    """A server. Writers of the same symbol wait for each other; writers of different symbols do not."""

    def __init__(self, url: URL, *, connections: int) -> None:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={name: value for name, value in _CONNECT.items() if name not in url.query},
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
            connection.adapters.register_dumper(_Int64Array, _Int64ArrayDumper)

        super().__init__(
            reading=engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
            writing=engine,
        )

    def migrate(self) -> None:
        with self.write() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            migrate(connection)
            query = text(
                "SELECT current_user || ' lacks the privilege ' || privilege || ' on ' || name"
                " FROM unnest(CAST(:names AS text[])) AS name,"
                " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege"
                " WHERE NOT has_table_privilege(name, privilege) LIMIT 1"
            )
            if lacking := connection.execute(query, {"names": [*metadata.tables]}).scalar():
                raise ValueError(f"the role {lacking}")

    def lock(self, connection: Connection, symbols: Sequence[str]) -> None:
        # In the same order in every process, so that two writers never deadlock.
        keys = sorted({_lock_key(symbol) for symbol in symbols})
        statement = text("SELECT count(pg_advisory_xact_lock(key)) FROM unnest(:keys) AS key")
        connection.execute(statement.bindparams(bindparam("keys", type_=ARRAY(BigInteger))), {"keys": keys})

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
        condition = "series_id = %s AND open_time_ms >= %s AND open_time_ms < %s"
        parameters = [series_id, start_ms, end_ms]
        if limit is not None:
            condition += f" ORDER BY open_time_ms {'DESC' if newest else ''} LIMIT %s"
            parameters.append(limit)
        return _select(connection, table, condition, parameters, with_adjusted)

    def bars_at(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> Bars:
        condition = "series_id = %s AND open_time_ms = ANY(%b)"
        return _select(connection, table, condition, (series_id, _Int64Array(times)), with_adjusted=True)

    def insert_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        _copy(connection, table.name, bars)

    def update_bars(self, connection: Connection, table: Table, bars: Sequence[tuple[int, Bars]]) -> None:
        # An UPDATE also deletes a row and makes a new one; COPY makes the new ones faster.
        for series_id, each in bars:
            self.delete_bars(connection, table, series_id, each.times)
        _copy(connection, table.name, bars)

    def delete_bars(self, connection: Connection, table: Table, series_id: int, times: Int64s) -> None:
        condition = "open_time_ms = ANY(%b)"
        if _is_dense(times):
            # A scan of the range with a hash lookup costs less than an index lookup for each time.
            condition = "open_time_ms BETWEEN %s AND %s AND open_time_ms + 0 = ANY(%b)"
        ends = (int(times[0]), int(times[-1])) if _is_dense(times) else ()
        _driver(connection).execute(
            f"DELETE FROM {table.name} WHERE series_id = %s AND {condition}".encode(),
            (series_id, *ends, _Int64Array(times)),
            prepare=False,  # a generic plan would not hash
        )

    @property
    def xact_id(self) -> ColumnElement[int]:
        return column_sql("pg_current_xact_id()::text::bigint", BigInteger)

    @property
    def visible_below_xact_id(self) -> ColumnElement[int]:
        return column_sql("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)

    def is_away(self, error: BaseException) -> bool:
        if not isinstance(error, psycopg.Error):
            return False
        if error.sqlstate is None:
            return isinstance(error, psycopg.OperationalError)
        return error.sqlstate.startswith(_AWAY_CODES)


@dataclass(frozen=True, slots=True, eq=False)
class _Int64Array:
    """A bigint[] parameter."""

    values: Int64s


class _Int64ArrayDumper(Dumper):
    """Dumps in the binary form: one dimension, no NULLs, then each number as its length and 8 bytes."""

    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: _Int64Array) -> bytes:
        elements = np.empty(len(obj.values), _ELEMENT[">i8"])
        elements["length"], elements["value"] = 8, obj.values
        return struct.pack(">5i", 1, 0, _INT8, len(elements), 1) + elements.tobytes()


def _driver(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _is_dense(times: Int64s) -> bool:
    """Whether few other bars can lie between the first and the last."""
    steps = np.diff(times)
    return len(steps) > 0 and int(times[-1] - times[0]) <= 4 * len(times) * int(steps.min())


def _lock_key(symbol: str) -> int:
    return int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=8).digest(), signed=True)


def _select(
    connection: Connection, table: Table, condition: str, parameters: Sequence[Any], with_adjusted: bool
) -> Bars:
    """Return the bars that meet a condition, oldest first: sorting here is a quarter faster than there."""
    names = [*_NAMES, *(["coalesce(adjusted_close, 'NaN')"] if with_adjusted else [])]
    arrays = ", ".join(f"array_agg({name})" for name in names)
    cursor = _driver(connection).cursor(binary=True)
    cursor.execute(
        f"SELECT {arrays} FROM (SELECT * FROM {table.name} WHERE {condition}) AS chosen".encode(), parameters
    )
    result = cursor.pgresult
    assert result is not None
    times = _array(result.get_value(0, 0), ">i8").astype(np.int64)
    values = [_array(result.get_value(0, i), ">f8").astype(np.float64) for i in range(1, len(names))]
    found = Bars(Columns(times, *values[:5]), values[5] if with_adjusted else None)
    return found if np.all(times[1:] > times[:-1]) else found[np.argsort(times)]


def _array(data: bytes | None, kind: str) -> np.ndarray[Any, Any]:
    """Return the values of a binary array without NULLs: after the header each is its length and 8 bytes."""
    if data is None:  # array_agg of no rows is NULL
        return np.empty(0, kind)
    return np.frombuffer(data, _ELEMENT[kind], offset=_ARRAY_HEADER_BYTES)["value"]


def _copy(connection: Connection, table: str, bars: Sequence[tuple[int, Bars]]) -> None:
    with_adjusted = any(each.adjusted_close is not None for _, each in bars)
    names = ["series_id", *_NAMES, *(["adjusted_close"] if with_adjusted else [])]
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor().copy(statement.encode()) as copy:
        copy.write(_COPY_HEADER)
        for series_id, each in bars:
            copy.write(_rows(series_id, each, with_adjusted=with_adjusted))
        copy.write(_COPY_END)


@cache
def _row_dtype(values: int) -> np.dtype[np.void]:
    """Return the type of a row of binary COPY: the number of fields, then each as its length and 8 bytes."""
    kinds = [">i8", ">i8", *[">f8"] * values]
    fields = [field for i, kind in enumerate(kinds) for field in ((f"length{i}", ">i4"), (f"value{i}", kind))]
    return np.dtype([("fields", ">i2"), *fields])


def _rows(series_id: int, bars: Bars, *, with_adjusted: bool) -> bytes:
    values = [getattr(bars.columns, name) for name in VALUES]
    if with_adjusted:
        values.append(np.nan if bars.adjusted_close is None else bars.adjusted_close)
    rows = np.empty(len(bars), _row_dtype(len(values)))
    rows["fields"] = 2 + len(values)
    for i, value in enumerate([series_id, bars.times, *values]):
        rows[f"length{i}"] = 8
        rows[f"value{i}"] = value
    return rows.tobytes()

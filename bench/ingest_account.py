"""The ways to store bars that bench/ingest.py compares with: the account's, SQLAlchemy's, and the limits.

Each takes the series to write and a database with its empty tables, and returns rows per second.
"""

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import BigInteger, Double, create_engine, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.report import sized
from finstage_market.columns import VALUES, Columns

ORM_ROWS = sized(2_000, 50)
"""As many rows are measured of what commits each alone, and CORE_ROWS of what builds each as an object."""
CORE_ROWS = sized(50_000, 1_000)


class Base(DeclarativeBase):
    """Base of the account's model."""


class PriceRow(Base):
    """A bar as an ORM object."""

    __tablename__ = "price_rows"
    series_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    open_time_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    open: Mapped[float] = mapped_column(Double)
    high: Mapped[float] = mapped_column(Double)
    low: Mapped[float] = mapped_column(Double)
    close: Mapped[float] = mapped_column(Double)
    volume: Mapped[float] = mapped_column(Double)


def orm_commit_per_row(url: str, series: Sequence[Columns]) -> tuple[float, float]:
    """Call session.add() and commit() for each row, then look up, change and commit each; return rows/s."""
    engine = _fresh(url)
    rows = _rows(series, ORM_ROWS)
    with Session(engine) as session:
        begun = time.perf_counter()
        for row in rows:
            session.add(PriceRow(**row))
            session.commit()
        added = time.perf_counter() - begun
        begun = time.perf_counter()
        for row in rows:
            found = session.get(PriceRow, (row["series_id"], row["open_time_ms"]))
            assert found is not None
            for name in VALUES:
                setattr(found, name, row[name] + 1)
            session.commit()
        changed = time.perf_counter() - begun
    engine.dispose()
    return len(rows) / added, len(rows) / changed


def bulk_insert_mappings(url: str, series: Sequence[Columns]) -> float:
    """Call bulk_insert_mappings() with 1000 rows per commit."""
    engine = _fresh(url)
    rows = _rows(series, CORE_ROWS)
    with Session(engine) as session:
        begun = time.perf_counter()
        for first in range(0, len(rows), 1000):
            session.bulk_insert_mappings(PriceRow, rows[first : first + 1000])
            session.commit()
        took = time.perf_counter() - begun
    engine.dispose()
    return len(rows) / took


def core_upsert(url: str, series: Sequence[Columns]) -> tuple[float, float]:
    """Run INSERT … ON CONFLICT DO UPDATE by SQLAlchemy Core, 10,000 rows at once, twice; return rows/s."""
    engine = _fresh(url)
    dialect: Any = postgresql if engine.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(PriceRow)
    statement = statement.on_conflict_do_update(
        index_elements=["series_id", "open_time_ms"],
        set_={name: statement.excluded[name] for name in VALUES},
    )
    rows = _rows(series, CORE_ROWS)
    figures = []
    for _ in range(2):
        begun = time.perf_counter()
        for first in range(0, len(rows), 10_000):
            with engine.begin() as connection:
                connection.execute(statement, rows[first : first + 10_000])
        figures.append(len(rows) / (time.perf_counter() - begun))
    engine.dispose()
    return figures[0], figures[1]


def bare_executemany(path: str, series: Sequence[Columns]) -> float:
    """Measure the limit of SQLite: executemany of tuples, one transaction, in a table with our key."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE limits (s INTEGER, t INTEGER, o REAL, h REAL, l REAL, c REAL, v REAL, "
        "PRIMARY KEY (s, t)) WITHOUT ROWID"
    )
    begun = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for number, bars in enumerate(series):
        values = [bars.open_time_ms.tolist(), *(getattr(bars, name).tolist() for name in VALUES)]
        rows = zip([number] * len(bars), *values, strict=True)
        connection.executemany("INSERT INTO limits VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    took = time.perf_counter() - begun
    connection.close()
    return sum(map(len, series)) / took


def bare_copy(url: str, series: Sequence[Columns]) -> float:
    """Measure the limit of PostgreSQL: one binary COPY into a table with our key."""
    blocks = [_copy_block(number, bars) for number, bars in enumerate(series)]
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS limits")
        connection.execute(
            "CREATE TABLE limits (s bigint, t bigint, o float8, h float8, l float8, c float8, v float8,"
            " PRIMARY KEY (s, t))"
        )
        connection.commit()
        begun = time.perf_counter()
        with connection.cursor().copy("COPY limits FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for block in blocks:
                copy.write(block)
            copy.write(b"\xff\xff")
        connection.commit()
        took = time.perf_counter() - begun
        connection.execute("DROP TABLE limits")
    return sum(map(len, series)) / took


def _copy_block(number: int, bars: Columns) -> bytes:
    kinds = [">i8", ">i8", *[">f8"] * 5]
    fields = [field for i, kind in enumerate(kinds) for field in ((f"n{i}", ">i4"), (f"v{i}", kind))]
    rows = np.empty(len(bars), np.dtype([("fields", ">i2"), *fields]))
    rows["fields"] = 7
    for i, value in enumerate([number, bars.open_time_ms, *(getattr(bars, name) for name in VALUES)]):
        rows[f"n{i}"], rows[f"v{i}"] = 8, value
    return rows.tobytes()


def _fresh(url: str) -> Any:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
    return engine


def _rows(series: Sequence[Columns], most: int) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for number, bars in enumerate(series):
        part = bars[: most - len(out)]
        names = ("open_time_ms", *VALUES)
        values = [getattr(part, name).tolist() for name in names]
        out += [
            {"series_id": number, **dict(zip(names, row, strict=True))} for row in zip(*values, strict=True)
        ]
        if len(out) >= most:
            break
    return out

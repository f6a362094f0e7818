"""Instruments: what symbols stand for."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from sqlalchemy import Connection, case, func, insert, or_, select, update

from services.ingest.series import Instrument
from services.ingest.store.database import Database
from services.ingest.store.schema import instruments


class Instruments:
    """Reads and keeps instruments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, symbol: str) -> Instrument | None:
        """Return what is known of a symbol."""
        with self._database.read() as connection:
            return read_instrument(connection, symbol)

    def put(self, *instruments: Instrument) -> None:
        """Keep instruments. A field that a new one leaves empty keeps its value."""
        with self._database.write() as connection:
            self._database.lock(connection, [i.symbol for i in instruments])
            for instrument in instruments:
                keep_instrument(connection, instrument)

    def search(self, query: str, *, types: Sequence[str] = (), limit: int = 10) -> tuple[Instrument, ...]:
        """Return instruments with `query` in their symbol or name, whatever its case, the best match first.

        The symbol itself comes first, then symbols that begin with it, then names that do, then the others.

        types: only these kinds (Instrument.type); empty: all.
        """
        symbol, name = func.lower(instruments.c.symbol), func.lower(instruments.c.name)
        wanted = query.strip().lower()
        rank = case(
            (symbol == wanted, 0),
            (symbol.startswith(wanted, autoescape=True), 1),
            (name.startswith(wanted, autoescape=True), 2),
            else_=3,
        )
        statement = (
            select(instruments)
            .where(or_(symbol.contains(wanted, autoescape=True), name.contains(wanted, autoescape=True)))
            .order_by(rank, func.length(instruments.c.symbol), instruments.c.symbol)
            .limit(limit)
        )
        if types:
            statement = statement.where(instruments.c.type.in_(types))
        with self._database.read() as connection:
            return tuple(Instrument(**row._mapping) for row in connection.execute(statement))


def read_instrument(connection: Connection, symbol: str) -> Instrument | None:
    """Return what is known of a symbol."""
    row = connection.execute(select(instruments).where(instruments.c.symbol == symbol)).first()
    return None if row is None else Instrument(**row._mapping)


def keep_instrument(connection: Connection, new: Instrument) -> None:
    """Keep an instrument; a field that it leaves empty keeps its value."""
    old = read_instrument(connection, new.symbol)
    if old is None:
        connection.execute(insert(instruments).values(asdict(new)))
        return
    known = {name: value for name, value in asdict(new).items() if value not in ("", None)}
    merged = replace(old, **known)
    if replace(merged, fetched_at_ms=None) != replace(old, fetched_at_ms=None):
        connection.execute(
            update(instruments).where(instruments.c.symbol == new.symbol).values(asdict(merged))
        )

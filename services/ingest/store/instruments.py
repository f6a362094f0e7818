"""What symbols name."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from sqlalchemy import Connection, case, func, insert, or_, select, update

from services.ingest.series import Instrument
from services.ingest.store.part import Part
from services.ingest.store.schema import instruments


class Instruments(Part):
    """Reading and keeping instruments."""

    def instrument(self, symbol: str) -> Instrument | None:
        """As Store.instrument()."""
        with self._database.read() as connection:
            return read_instrument(connection, symbol)

    def put_instrument(self, *instruments: Instrument) -> None:
        """As Store.put_instrument()."""
        with self._database.write() as connection:
            self._database.lock(connection, [i.symbol for i in instruments])
            for instrument in instruments:
                keep_instrument(connection, instrument)

    def search(self, query: str, *, types: Sequence[str] = (), limit: int = 10) -> tuple[Instrument, ...]:
        """As Store.search(): first the symbol itself, then symbols that begin so, then names, then others."""
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
    """What is known of a symbol."""
    row = connection.execute(select(instruments).where(instruments.c.symbol == symbol)).first()
    return None if row is None else Instrument(**row._mapping)


def keep_instrument(connection: Connection, new: Instrument) -> Instrument:
    """Keep an instrument; what it leaves empty stays as it was. Returns what is known now."""
    old = read_instrument(connection, new.symbol)
    if old is None:
        connection.execute(insert(instruments).values(asdict(new)))
        return new
    known = {name: value for name, value in asdict(new).items() if value not in ("", None)}
    merged = replace(old, **known)
    if replace(merged, fetched_at_ms=None) != replace(old, fetched_at_ms=None):
        connection.execute(
            update(instruments).where(instruments.c.symbol == new.symbol).values(asdict(merged))
        )
    return merged

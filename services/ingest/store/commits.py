"""The log of commits: lines that were written with the bars, read in the order in which they became visible.

A token names a line by its place: "database.transaction.id". A token of another database, or of a line that
does not exist (a backup was restored), has expired.

PostgreSQL assigns ids when a line is written, not when it is committed, so a reader that only looked for
greater ids could miss a line of a slow transaction. Lines are therefore read only once every transaction that
could still come before them has ended.
"""

import re
import threading
from collections.abc import Callable

from sqlalchemy import select, tuple_

from finstage_market.errors import PreconditionFailed, Reason
from finstage_market.interval import Interval
from services.ingest.series import SeriesKey
from services.ingest.store.database import Database
from services.ingest.store.schema import identity, outbox
from services.ingest.store.values import Commit

_PLACE = tuple_(outbox.c.xact_id, outbox.c.id)


class CommitLog:
    """Reads the log, and tells listeners of what this process adds to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[int, Callable[[], None]] = {}
        self._guard = threading.Lock()
        self._next_listener = 0
        self._identity = ""

    def after(self, token: str, *, limit: int = 1000) -> tuple[Commit, ...]:
        """Return the commits after `token`, oldest first, each once every reader can see it.

        Raises:
            PreconditionFailed: RESUME_EXPIRED: commits after the token are no longer kept.
            ValueError: it is not a token of any store.
        """
        name, place = _parse(token)
        query = (
            select(outbox)
            .where(tuple_(*place) < _PLACE, outbox.c.xact_id < self._database.visible_below_xact_id)
            .order_by(outbox.c.xact_id, outbox.c.id)
            .limit(limit)
        )
        oldest = select(outbox.c.xact_id, outbox.c.id).order_by(outbox.c.xact_id, outbox.c.id).limit(1)
        newest = oldest.order_by(None).order_by(outbox.c.xact_id.desc(), outbox.c.id.desc())
        if name != self.identity():
            raise _expired("this token is of another database")
        with self._database.read() as connection:
            # The log is never empty: pruning leaves the newest line that it could take.
            if place < tuple(connection.execute(oldest).one()):
                raise _expired("the commits after this token are no longer kept")
            if place > tuple(connection.execute(newest).one()):
                raise _expired("the database was restored to a state before this token")
            rows = connection.execute(query).all()
        return tuple(
            Commit(
                token=f"{name}.{row.xact_id}.{row.id}",
                key=SeriesKey(row.symbol, Interval(row.interval)),
                epoch=row.epoch,
                revision=row.revision,
                restated=row.restated,
                first_changed_ms=row.first_changed_ms,
                last_changed_ms=row.last_changed_ms,
                committed_at_ms=row.committed_at_ms,
            )
            for row in rows
        )

    def token(self) -> str:
        """Return the token of now: after(it) gives what is committed from now on."""
        newest = (
            select(outbox.c.xact_id, outbox.c.id)
            .where(outbox.c.xact_id < self._database.visible_below_xact_id)
            .order_by(outbox.c.xact_id.desc(), outbox.c.id.desc())
            .limit(1)
        )
        name = self.identity()
        with self._database.read() as connection:
            xact_id, line = connection.execute(newest).one()
        return f"{name}.{xact_id}.{line}"

    def identity(self) -> str:
        """Return the database's own name, made with it: the same in every process that opens it."""
        if not self._identity:
            with self._database.read() as connection:
                self._identity = str(connection.execute(select(identity.c.id)).scalar_one())
        return self._identity

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each commit of this process, from the thread that made it.

        Returns the function that ends it. Commits of other processes are not announced: poll for them.
        """
        with self._guard:
            number = self._next_listener = self._next_listener + 1
            self._listeners[number] = listener

        def end() -> None:
            with self._guard:
                self._listeners.pop(number, None)

        return end

    def announce(self) -> None:
        """Tell the listeners that this process made a commit."""
        with self._guard:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener()


def _expired(why: str) -> PreconditionFailed:
    return PreconditionFailed(Reason.RESUME_EXPIRED, f"{why}; read the series again")


def _parse(token: str) -> tuple[str, tuple[int, int]]:
    """Return the database and the place that a token names.

    Raises:
        ValueError: it is not a token.
    """
    found = re.fullmatch(r"([0-9a-f]{32})\.([0-9]{1,18})\.([0-9]{1,18})", token)
    if found is None:
        raise ValueError(f"{token!r} is not a valid token")
    return found[1], (int(found[2]), int(found[3]))

"""Why a file cannot be read as bars. Messages do not name the file: who asked for it knows which it is."""

from collections.abc import Sequence


class Unreadable(Exception):
    """The file cannot be read as bars; the message is one line.

    settled_by: the argument of read() that would settle it; empty where none would.
    fields: those that a `mapping` must name, where that is what settles it.
    """

    def __init__(self, reason: str, *, settled_by: str = "", fields: Sequence[str] = ()) -> None:
        super().__init__(" ".join(reason.split()))
        self.settled_by = settled_by
        self.fields = tuple(fields)


class NoRows(Unreadable):
    """The file is a table without rows."""


class NoColumn(Unreadable):
    """There is no column for some fields."""

    def __init__(self, fields: Sequence[str], names: Sequence[str]) -> None:
        has = ", ".join(filter(None, names))
        super().__init__(
            f"no column for {', '.join(fields)}; the file has {has}", settled_by="mapping", fields=fields
        )


class NoZone(Unreadable):
    """The file's times are local ones, of a zone that a `time_zone` must name."""

    def __init__(self, example: str) -> None:
        super().__init__(f"its times ({example!r}) name no time zone", settled_by="time_zone")

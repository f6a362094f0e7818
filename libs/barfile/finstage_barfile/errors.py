"""Why a file cannot be read as bars. Messages do not name the file: the caller knows which it is."""

from collections.abc import Sequence


class Unreadable(Exception):
    """The file cannot be read as bars; the message is one line that is safe to print.

    settled_by: the argument of read() that would settle it; empty where none would.
    fields: the fields that `column_names` must name, where that argument settles it.
    """

    def __init__(self, reason: str, *, settled_by: str = "", fields: Sequence[str] = ()) -> None:
        super().__init__(printable(" ".join(reason.split())))
        self.settled_by = settled_by
        self.fields = tuple(fields)


class NoRows(Unreadable):
    """The file is a table without rows."""


class NoColumn(Unreadable):
    """Some fields have no column."""

    def __init__(self, fields: Sequence[str], names: Sequence[str]) -> None:
        super().__init__(
            f"no column for {', '.join(fields)}; the file has {listed(names)}",
            settled_by="column_names",
            fields=fields,
        )


class NoZone(Unreadable):
    """The file's times are local ones; `time_zone` must name their zone."""

    def __init__(self, example: str) -> None:
        super().__init__(f"its times ({example!r}) name no time zone", settled_by="time_zone")


def printable(text: str) -> str:
    """Return `text` with an escape for each character that a terminal would not simply show."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def listed(names: Sequence[str], most: int = 20) -> str:
    """The first of the names, and how many more there are."""
    shown = [name if len(name) <= 60 else f"{name[:60]}…" for name in names if name]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more

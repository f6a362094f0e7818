"""Why a file cannot be read as bars. Messages do not name the file: who asked for it knows which it is."""

from collections.abc import Sequence


class Unreadable(Exception):
    """The file cannot be read as bars; the message is one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


class NoRows(Unreadable):
    """The file is a table without rows."""


class NoColumn(Unreadable):
    """There is no column for some fields.

    fields: those that a `mapping` must name.
    """

    def __init__(self, fields: Sequence[str], names: Sequence[str]) -> None:
        super().__init__(f"no column for {', '.join(fields)}; the file has {', '.join(filter(None, names))}")
        self.fields = tuple(fields)


class NoZone(Unreadable):
    """The file's times are local ones, of a zone that a `time_zone` must name."""

    def __init__(self, example: str) -> None:
        super().__init__(f"its times ({example!r}) name no time zone")

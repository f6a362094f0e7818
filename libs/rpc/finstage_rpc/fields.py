"""Checks of requests. Every wrong field is reported by its path, with what was given and what is accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from finstage.market.v1 import series_pb2
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol

MAX_AGE_S = 7 * 86_400.0
MIN_HEARTBEAT_S, MAX_HEARTBEAT_S = 1.0, 300.0
# 0001-01-01 and 9999-12-31T23:59:59: the range of a Timestamp.
_MIN_TIME_S, _MAX_TIME_S = -62_135_596_800, 253_402_300_799
_MAX_SHOWN = 60

_D = TypeVar("_D", int, None)
_F = TypeVar("_F", float, None)


@dataclass(frozen=True, slots=True)
class BarRange:
    """The bars that opened in [start_ms, end_ms), or the newest `limit`. None: no such bound."""

    start_ms: int | None
    end_ms: int | None
    limit: int | None


class Fields:
    """The violations of one request.

    Each check returns the value to use. For a wrong field that value has the right type but no meaning, and
    `done` raises. So check every field, call `done`, then use the values.
    """

    __slots__ = ("_violations",)

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def done(self) -> None:
        """End the checks.

        Raises:
            InvalidRequest: fields were wrong; it has a violation for each.
        """
        if self._violations:
            raise InvalidRequest(self._violations)

    def wrong(self, field: str, description: str) -> None:
        """Add a violation of `field`. description: what was given and what is accepted."""
        self._violations.append(Violation(field, description))

    def symbol(self, field: str, text: str) -> str:
        """Return the symbol, normalised."""
        try:
            return parse_symbol(text)
        except ValueError as error:
            self.wrong(field, f"{shown(text)} was given; {error}")
            return text

    def symbols(self, field: str, texts: Sequence[str], *, most: int) -> list[str]:
        """Return 1 to `most` symbols, in the order given."""
        self.count(field, texts, least=1, most=most, what="symbols")
        return [self.symbol(f"{field}[{i}]", text) for i, text in enumerate(texts[:most])]

    def count(self, field: str, values: Sequence[object], *, least: int, most: int, what: str) -> None:
        """Check that a list has `least` to `most` values. what: their name, in the plural."""
        if not least <= len(values) <= most:
            self.wrong(field, f"{len(values)} {what} were given; {least} to {most} are accepted")

    def text(self, field: str, text: str, *, least: int, most: int) -> str:
        """Return a text of `least` to `most` printable characters, without spaces around it."""
        stripped = text.strip(" ")
        if not least <= len(stripped) <= most or not stripped.isprintable():
            self.wrong(field, f"{shown(text)} was given; {least} to {most} printable characters are accepted")
        return stripped

    def interval(self, field: str, text: str) -> Interval:
        """Return the interval, which must not be empty."""
        try:
            return Interval.parse(text)
        except ValueError as error:
            self.wrong(field, str(error))
            return Interval.D1

    def intervals(self, field: str, values: Sequence[str], *, most: int) -> list[Interval]:
        """Return 1 to `most` intervals, in the order given."""
        self.count(field, values, least=1, most=most, what="intervals")
        return [self.interval(f"{field}[{i}]", value) for i, value in enumerate(values[:most])]

    def adjustment(self, field: str, value: int) -> series_pb2.Adjustment:
        """Return the adjustment; UNSPECIFIED means SPLITS."""
        number = self.enum(field, series_pb2.Adjustment, value) or series_pb2.ADJUSTMENT_SPLITS
        return cast("series_pb2.Adjustment", number)

    def enum(self, field: str, kind: EnumTypeWrapper, value: int) -> int:
        """Return a number of the contract's enum `kind`: 0 where the field is unset."""
        if value not in kind.values():
            accepted = ", ".join(name for name in kind.keys() if not name.endswith("_UNSPECIFIED"))  # noqa: SIM118
            self.wrong(field, f"{value} was given; one of {accepted} is accepted")
        return value

    def integer(self, field: str, request: Message, *, least: int, most: int, default: _D) -> int | _D:
        """Return the optional integer `field`, from `least` to `most`; `default` where it is unset."""
        if not request.HasField(field):
            return default
        value: int = getattr(request, field)
        if not least <= value <= most:
            self.wrong(field, f"{value} was given; {least} to {most} is accepted")
        return value

    def page_size(self, value: int, *, most: int, default: int) -> int:
        """Return the field page_size: `default` where it is 0, and at most `most`."""
        if value < 0:
            self.wrong("page_size", f"{value} was given; 0 or more is accepted")
        return min(value, most) if value > 0 else default

    def flag(self, field: str, request: Message, *, default: bool) -> bool:
        """Return the optional bool `field`; `default` where it is unset."""
        return bool(getattr(request, field)) if request.HasField(field) else default

    def duration_s(
        self, field: str, request: Message, *, least_s: float, most_s: float, default_s: _F
    ) -> float | _F:
        """Return the Duration `field` in seconds; `default_s` where it is unset."""
        if not request.HasField(field):
            return default_s
        value: Duration = getattr(request, field)
        seconds = value.seconds + value.nanos / 1e9
        if not least_s <= seconds <= most_s or abs(value.nanos) > 999_999_999:
            self.wrong(field, f"{seconds:g} s was given; {least_s:g} s to {most_s:g} s is accepted")
        return seconds

    def max_age_s(self, request: Message, *, default_s: _F) -> float | _F:
        """Return the Duration max_age, 0 to 7 days, in seconds."""
        return self.duration_s("max_age", request, least_s=0.0, most_s=MAX_AGE_S, default_s=default_s)

    def heartbeat_s(self, request: Message, *, default_s: float) -> float:
        """Return the Duration heartbeat_interval, 1 s to 5 min, in seconds."""
        return self.duration_s(
            "heartbeat_interval",
            request,
            least_s=MIN_HEARTBEAT_S,
            most_s=MAX_HEARTBEAT_S,
            default_s=default_s,
        )

    def timestamp_ms(self, field: str, request: Message, *, path: str) -> int | None:
        """Return the Timestamp `field` in milliseconds; None where it is unset. Errors call it `path`.

        It is rounded up. Bars open at whole milliseconds, so "at or after" and "before" keep their meaning.
        """
        if not request.HasField(field):
            return None
        value: Timestamp = getattr(request, field)
        if not _MIN_TIME_S <= value.seconds <= _MAX_TIME_S or not 0 <= value.nanos <= 999_999_999:
            given = f"{value.seconds} s and {value.nanos} ns"
            self.wrong(path, f"{given} was given; a time from year 1 to 9999 is accepted")
            return 0
        return value.seconds * 1000 - (-value.nanos // 1_000_000)

    def time_range(self, range_: series_pb2.BarRange) -> tuple[int | None, int | None]:
        """Return the field range in milliseconds; start must be before end."""
        start_ms = self.timestamp_ms("start", range_, path="range.start")
        end_ms = self.timestamp_ms("end", range_, path="range.end")
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            given, end = range_.start.ToJsonString(), range_.end.ToJsonString()
            self.wrong("range.start", f"{given} was given; a time before range.end, {end}, is accepted")
        return start_ms, end_ms

    def bars(self, request: Message, *, most: int, default_limit: int | None) -> BarRange:
        """Return the oneof bars of a request: a range, or the newest `limit` (1 to `most`).

        default_limit: the limit when the request has neither, or a range without bounds; None: all bars.
        """
        if request.WhichOneof("bars") == "limit":
            return BarRange(None, None, self.integer("limit", request, least=1, most=most, default=None))
        start_ms, end_ms = self.time_range(request.range)  # type: ignore[attr-defined]
        unbounded = start_ms is None and end_ms is None
        return BarRange(start_ms, end_ms, default_limit if unbounded else None)


def shown(value: object) -> str:
    """Return what a client gave for the text of an error: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"

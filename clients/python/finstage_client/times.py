"""Times as people give them: aware datetimes, dates, ISO 8601 text, and text relative to now."""

import calendar
import re
from datetime import UTC, date, datetime, timedelta

from finstage_market.errors import InvalidRequest, Violation

When = datetime | date | str
"""A moment: a datetime with a time zone; a date, which is its midnight UTC; or text: ISO 8601 with a zone
("2024-01-31T14:30Z"), a date ("2024-01-31"), or back from now ("-30d"; units m, h, d, w, mo, y)."""

FORMS = "2024-01-31, 2024-01-31T14:30Z or -30d"

_BACK = re.compile(r"-(\d{1,6})(m|h|d|w|mo|y)")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_MONTHS = {"mo": 1, "y": 12}


def moment(field: str, when: When) -> datetime:
    """Return the aware datetime, in UTC, that `when` names.

    Raises:
        InvalidRequest: it names none, or is without a time zone; the violation is of `field`.
    """
    try:
        return _moment(when)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest([Violation(field, str(error))]) from None


def _moment(when: object) -> datetime:
    if isinstance(when, str):
        return _of_text(when)
    if isinstance(when, datetime):
        return _in_utc(when, given=repr(when))
    if isinstance(when, date):
        return datetime(when.year, when.month, when.day, tzinfo=UTC)
    if isinstance(when, int | float):
        raise ValueError(
            f"{when!r} is a number, which could be seconds or milliseconds; "
            "write datetime.fromtimestamp(seconds, UTC), or text such as " + FORMS
        )
    raise ValueError(f"{when!r} is not a time; give a datetime with a time zone, a date, or text: {FORMS}")


def _of_text(text: str) -> datetime:
    if back := _BACK.fullmatch(text.strip()):
        return _back(int(back[1]), back[2])
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write {FORMS}") from None
    if ":" not in text and "T" not in text.upper():
        return found.replace(tzinfo=UTC)  # a date
    return _in_utc(found, given=repr(text))


def _in_utc(when: datetime, *, given: str) -> datetime:
    if when.utcoffset() is None:
        raise ValueError(f"{given} has no time zone; add one, such as Z for UTC: 2024-01-31T14:30Z")
    return when.astimezone(UTC)


def _back(count: int, unit: str) -> datetime:
    now = datetime.now(UTC)
    if unit in _UNITS:
        return now - count * _UNITS[unit]
    years, month = divmod(now.year * 12 + now.month - 1 - count * _MONTHS[unit], 12)
    if years < 1:
        raise ValueError(f"-{count}{unit} is before the year 1")
    return now.replace(
        year=years, month=month + 1, day=min(now.day, calendar.monthrange(years, month + 1)[1])
    )

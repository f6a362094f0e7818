"""Times as callers give them: what is taken, and what is refused with a reason."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finstage_client import InvalidRequest
from finstage_client.times import moment

MINUS_FIVE = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (datetime(2024, 1, 31, 9, 30, tzinfo=MINUS_FIVE), datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
        (pd.Timestamp("2024-01-31 14:30", tz="UTC"), datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
        (date(2024, 1, 31), datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T14:30Z", datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
        ("2024-01-31 09:30:00-05:00", datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_time_with_a_zone_or_a_date_is_one_moment(given: Any, meant: datetime) -> None:
    assert moment("start", given) == meant


@pytest.mark.parametrize(
    ("given", "back"),
    [
        ("-90m", timedelta(minutes=90)),
        ("-12h", timedelta(hours=12)),
        ("-30d", timedelta(days=30)),
        ("-2w", timedelta(weeks=2)),
    ],
)
def test_a_relative_time_counts_back_from_now(given: str, back: timedelta) -> None:
    before = datetime.now(UTC)
    found = moment("start", given)
    assert before - back <= found <= datetime.now(UTC) - back


@pytest.mark.parametrize(("given", "months"), [("-1mo", 1), ("-18mo", 18), ("-1y", 12), ("-10y", 120)])
def test_months_and_years_go_back_by_the_calendar(given: str, months: int) -> None:
    now, found = datetime.now(UTC), moment("start", given)
    assert (now.year * 12 + now.month) - (found.year * 12 + found.month) == months
    assert found.day == now.day or (found + timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (1_767_225_600, "is a number, which could be seconds or milliseconds"),
        (1_767_225_600.5, "is a number"),
        (np.int64(1_767_225_600), "is not a time"),
        (datetime(2024, 1, 31), "has no time zone"),
        (pd.Timestamp("2024-01-31"), "has no time zone"),
        ("2024-01-31T14:30", "has no time zone"),
        ("1767225600", "is not a time"),
        ("soon", "is not a time; write 2024-01-31"),
        ("-30x", "is not a time"),
        ("-9999y", "is before the year 1"),
        ("-999999w", "out of range"),
        (np.datetime64("2024-01-31"), "is not a time"),
    ],
)
def test_a_time_that_could_mean_several_moments_is_refused_with_the_reason(given: Any, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        moment("start", given)
    assert refused.value.violations[0].field == "start"

"""Requests of the chart API: parsing, limits, and refusals in the API's words."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sim.market import View
from sim.sessions import DAY_S, local_midnight

Json = dict[str, Any]

STEPS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "1h": 3600}
LONG_INTERVALS = ("1d", "1wk", "1mo", "3mo")
# How far back intraday data reaches, days.
REACH_DAYS = {"1m": 30, "5m": 60, "15m": 60, "30m": 60, "60m": 730, "1h": 730}
MAX_1M_REQUEST_DAYS = 7
RANGES = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
FUND_RANGES = ("1mo", "3mo", "6mo", "ytd", "1y", "2y", "5y", "10y", "max")
_MONTHS = {"1mo": 1, "3mo": 3, "6mo": 6, "1y": 12, "2y": 24, "5y": 60, "10y": 120}


class ApiError(Exception):
    """A request that the API refuses, in its own words."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status, self.code, self.description = status, code, description


def not_found() -> ApiError:
    return ApiError(404, "Not Found", "No data found, symbol may be delisted")


def bad_request(description: str) -> ApiError:
    return ApiError(400, "Bad Request", description)


def error_body(error: ApiError, envelope: str = "chart") -> Json:
    """Return the error in the envelope of its API: "chart", "quoteResponse" or "finance"."""
    return {envelope: {"result": None, "error": {"code": error.code, "description": error.description}}}


@dataclass(frozen=True)
class ChartQuery:
    """A checked request. Times are epoch seconds."""

    symbol: str
    interval: str
    range: str  # empty when a period was given
    start: int
    end: int
    extended: bool
    events: frozenset[str]  # of "div", "split", "capitalGains"

    @property
    def step_s(self) -> int | None:
        """Seconds of an intraday interval; None for a day and longer."""
        return STEPS_S.get(self.interval)


def parse_query(view: View, params: Mapping[str, str]) -> ChartQuery:
    """Check a request by the rules of the API.

    Raises:
        ApiError: 400 for an invalid parameter, 422 for a range that the API does not keep.
    """
    by_period = "period1" in params
    range_ = "" if by_period else params.get("range", "1d")
    interval = params.get("interval", "1m" if range_ == "1d" else "1d")
    if interval not in (*STEPS_S, *LONG_INTERVALS):
        valid = ", ".join((*STEPS_S, *LONG_INTERVALS))
        raise bad_request(f"Invalid input - interval={interval} is not supported. Valid intervals: [{valid}]")
    extended = params.get("includePrePost", "").lower() == "true" and interval in STEPS_S
    if by_period:
        start, end = _epoch(params, "period1"), _epoch(params, "period2", str(int(view.now)))
    elif range_ in RANGES:
        start, end = _range_start(view, range_, extended), int(view.now)
    else:
        raise bad_request(
            f"Invalid input - range={range_} is not supported. Valid ranges: [{', '.join(RANGES)}]"
        )
    if start >= end:
        raise bad_request(
            f"Invalid input - start date cannot be after end date. startDate = {start}, endDate = {end}"
        )
    _check_reach(view, interval, range_, start, end)
    wanted = {name.removesuffix("s") if name != "capitalGains" else name for name in _events(params)}
    return ChartQuery(
        symbol=view.symbol,
        interval=interval,
        range=range_,
        start=start,
        end=end,
        extended=extended,
        events=frozenset(wanted),
    )


def _epoch(params: Mapping[str, str], name: str, default: str = "") -> int:
    text = params.get(name, default)
    if not re.fullmatch(r"-?\d{1,11}(\.\d+)?", text):
        raise bad_request(f"Invalid input - {name}={text} is not a valid epoch")
    return int(float(text))


def _events(params: Mapping[str, str]) -> list[str]:
    return re.split(r"[,|]", params.get("events", ""))


def _range_start(view: View, range_: str, extended: bool) -> int:
    """Return the start of a range: for days a session's open, for months the midnight of the same date."""
    times, zone = view.history.bars.time, view.instrument.schedule.time_zone
    if range_ in ("1d", "5d"):
        if extended and view.instrument.schedule.extended:
            latest = view.last + (view.now >= view.history.pre_open(view.last + 1))
            return view.history.pre_open(max(latest + 1 - int(range_[0]), 0))
        return int(times[max(view.last + 1 - int(range_[0]), 0)])
    today = dt.datetime.fromtimestamp(view.now, ZoneInfo(zone)).date()
    if range_ == "ytd":
        return local_midnight(zone, today.replace(month=1, day=1))
    if range_ == "max":
        return int(times[0]) - 31 * DAY_S  # includes the month of the listing
    index = today.year * 12 + today.month - 1 - _MONTHS[range_]
    month = dt.date(index // 12, index % 12 + 1, 1)
    last_day = (dt.date((index + 1) // 12, (index + 1) % 12 + 1, 1) - dt.timedelta(1)).day
    return local_midnight(zone, month.replace(day=min(today.day, last_day)))


def _check_reach(view: View, interval: str, range_: str, start: int, end: int) -> None:
    if interval not in REACH_DAYS:
        return
    what = f"{interval} data not available for startTime={start} and endTime={end}."
    if interval == "1m" and range_ not in ("1d", "5d") and end - start > MAX_1M_REQUEST_DAYS * DAY_S:
        raise ApiError(
            422,
            "Unprocessable Entity",
            f"{what} Only {MAX_1M_REQUEST_DAYS} days worth of 1m granularity data are allowed to be fetched "
            "per request.",
        )
    # Months differ in length: a range in months may be a little longer than the limit in days.
    reach = REACH_DAYS[interval] + (2 if range_ else 0)
    if start < view.now - reach * DAY_S:
        raise ApiError(
            422,
            "Unprocessable Entity",
            f"{what} The requested range must be within the last {REACH_DAYS[interval]} days.",
        )

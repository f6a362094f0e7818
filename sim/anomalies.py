"""The defects of real upstream data, shown by special symbols or switched on for any symbol.

Most anomalies need no switch: every symbol shows them where the API does (README.md says which).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.faults import REPLACEMENTS, Fault
from sim.market import View
from sim.query import ApiError, ChartQuery, Json, bad_request, not_found
from sim.reply import Reply


class InsteadError(Exception):
    """An anomaly replaces the whole reply by this one."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _series(result: Json) -> list[tuple[Json, str]]:
    """Return the place of every column of bars: (object, key)."""
    indicators = result["indicators"]
    objects = (*indicators["quote"], *indicators.get("adjclose", ()))
    return [(columns, name) for columns in objects for name in columns]


def _make_null(result: Json, at: int) -> None:
    for columns, name in _series(result):
        values = columns[name].tolist() if isinstance(columns[name], np.ndarray) else columns[name]
        values[at] = None
        columns[name] = values


def _bars(result: Json) -> int:
    return len(result.get("timestamp", ()))


def _null_bar(result: Json, _: View, __: ChartQuery) -> None:
    if n := _bars(result):
        _make_null(result, n // 2)


def _close_only(result: Json, _: View, __: ChartQuery) -> None:
    if n := _bars(result):
        result["indicators"]["quote"] = [{"close": result["indicators"]["quote"][0]["close"]}]
        _make_null(result, n // 2)


def _live_tail(result: Json, view: View, query: ChartQuery) -> None:
    if query.step_s and _bars(result) > 1 and result["timestamp"][-1] == view.live.time:
        _make_null(result, -2)


def _tail_outside(result: Json, view: View, _: ChartQuery) -> None:
    n = _bars(result)
    if not n or result["timestamp"][-1] >= view.live.time:
        return
    result["timestamp"] = np.append(result["timestamp"], view.live.time)
    for columns, name in _series(result):
        last = 0 if name == "volume" else float(np.float32(view.live.bar.close[0]))
        columns[name] = np.append(columns[name], last)


def _zero_first(result: Json, view: View, query: ChartQuery) -> None:
    if query.step_s and _bars(result):
        opens = np.isin(result["timestamp"], view.history.bars.time)
        volume = result["indicators"]["quote"][0]["volume"]
        result["indicators"]["quote"][0]["volume"] = np.where(opens, 0, volume)


def _empty(result: Json, _: View, __: ChartQuery) -> None:
    result.pop("timestamp", None)
    result.pop("events", None)
    result["indicators"] = {name: [{}] for name in result["indicators"]}


def _bare_meta(result: Json, _: View, __: ChartQuery) -> None:
    meta = result["meta"]
    meta["currency"] = meta["firstTradeDate"] = None
    for name in ("regularMarketPrice", "chartPreviousClose", "previousClose", "shortName"):
        meta.pop(name, None)


def _orphan_events(result: Json, view: View, _: ChartQuery) -> None:
    events = result.setdefault("events", {})
    old, gap = -177_417_000, int(view.history.bars.time[0]) + 43_200
    events["splits"] = {
        **events.get("splits", {}),
        str(old): {"date": old, "numerator": 5, "denominator": 4, "splitRatio": "5:4"},
    }
    events["dividends"] = {
        **events.get("dividends", {}),
        str(old): {"amount": 0.000956, "date": old},
        str(gap): {"amount": 0.25, "date": gap},
    }


def _float_splits(result: Json, _: View, __: ChartQuery) -> None:
    for split in result.get("events", {}).get("splits", {}).values():
        split["numerator"], split["denominator"] = float(split["numerator"]), float(split["denominator"])


def _bad_low(result: Json, _: View, __: ChartQuery) -> None:
    if (n := _bars(result)) > 2:
        quote = result["indicators"]["quote"][0]
        quote["low"][n // 3] = 0.0
        quote["low"][2 * n // 3] = quote["open"][2 * n // 3] * 1.01


def _stale_time(result: Json, _: View, __: ChartQuery) -> None:
    result["meta"]["regularMarketTime"] -= 2 * 365 * 86_400


def _hundredfold(result: Json, _: View, __: ChartQuery) -> None:
    if (n := _bars(result)) > 4:
        some = slice(n // 2, n // 2 + max(n // 20, 1))
        for columns, name in _series(result):
            if name != "volume":
                columns[name][some] *= 100


def _no_timestamp(result: Json, _: View, __: ChartQuery) -> None:
    if _bars(result):
        del result["timestamp"]
        result["indicators"] = {"quote": [{"close": result["indicators"]["quote"][0]["close"]}]}


def _ragged(result: Json, _: View, __: ChartQuery) -> None:
    if _bars(result) > 2:
        quote = result["indicators"]["quote"][0]
        quote["open"], quote["volume"] = quote["open"][:-1], quote["volume"][:-2]


def _nothing(_: Json, __: View, ___: ChartQuery) -> None:
    """Leave the chart alone: this anomaly shows only in the CSV."""


def _no_data(_: Json, __: View, query: ChartQuery) -> None:
    raise bad_request(f"Data doesn't exist for startDate = {query.start}, endDate = {query.end}")


def _gone(_: Json, __: View, ___: ChartQuery) -> None:
    raise not_found()


def _out_of_reach(_: Json, __: View, query: ChartQuery) -> None:
    raise ApiError(
        422,
        "Unprocessable Entity",
        f"{query.interval} data not available for startTime={query.start} and endTime={query.end}. "
        "The requested range must be within the last 60 days.",
    )


def _instead(fault: Fault) -> Callable[[Json, View, ChartQuery], None]:
    def change(_: Json, __: View, ___: ChartQuery) -> None:
        raise InsteadError(REPLACEMENTS[fault.kind](fault))

    return change


@dataclass(frozen=True)
class Anomaly:
    """One defect: its description, and the function that changes a chart's result in place."""

    text: str
    change: Callable[[Json, View, ChartQuery], None]


ANOMALIES = {
    "null_bar": Anomaly("an all-null bar in the middle", _null_bar),
    "close_only": Anomaly("only close and adjclose, one of them null", _close_only),
    "live_tail": Anomaly("the live price right after an all-null bar", _live_tail),
    "tail_outside": Anomaly("the live price outside the window asked for", _tail_outside),
    "zero_first": Anomaly("no volume in a session's first intraday bar", _zero_first),
    "empty": Anomaly("200 without timestamps, an empty quote", _empty),
    "bare_meta": Anomaly("null and missing fields in meta", _bare_meta),
    "orphan_events": Anomaly("events without a bar, some before 1970", _orphan_events),
    "float_splits": Anomaly("split numerators as 4.0", _float_splits),
    "bad_low": Anomaly("a low of 0.0, and a low above the open", _bad_low),
    "stale_time": Anomaly("regularMarketTime two years old", _stale_time),
    "hundredfold": Anomaly("some prices multiplied by 100", _hundredfold),
    "no_timestamp": Anomaly("closes without timestamps", _no_timestamp),
    "ragged": Anomaly("columns of different lengths", _ragged),
    "foreign_csv": Anomaly("CSV with byte-order mark, M/D/Y, newest first, fractional volume", _nothing),
    "no_data": Anomaly("400, data doesn't exist", _no_data),
    "gone": Anomaly("404, delisted", _gone),
    "out_of_reach": Anomaly("422, out of reach", _out_of_reach),
    "crumb": Anomaly("401, invalid crumb", _instead(Fault("unauthorized"))),
    "busy": Anomaly("429 as text", _instead(Fault("rate_limited"))),
    "busy_html": Anomaly("429 as a page", _instead(Fault("rate_limited", body="html"))),
    "busy_200": Anomaly("Too Many Requests with status 200", _instead(Fault("text_200"))),
    "error_200": Anomaly("200 with an error inside", _instead(Fault("error_200"))),
}


class AnomalyBoard:
    """Anomalies switched on for symbols, beside the symbols' own. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: dict[str, tuple[str, ...]] = {}

    def add(self, symbol: str, name: str) -> None:
        """Switch an anomaly on for a symbol. Raises KeyError for an unknown anomaly."""
        ANOMALIES[name]
        with self._lock:
            self._on[symbol] = (*self._on.get(symbol, ()), name)

    def clear(self) -> None:
        with self._lock:
            self._on = {}

    def of(self, view: View) -> tuple[str, ...]:
        """The names of a symbol's anomalies."""
        with self._lock:
            return view.instrument.anomalies + self._on.get(view.symbol, ())

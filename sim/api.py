"""The API's paths: from a request to a reply, without HTTP's transport."""

from collections.abc import Mapping
from urllib.parse import unquote

from sim.anomalies import ANOMALIES, AnomalyBoard, InsteadError
from sim.chart import chart
from sim.download import download
from sim.market import Market, UnknownSymbolError, View
from sim.query import ApiError, Json, bad_request, error_body, not_found, parse_query
from sim.quotes import DEFAULT_SEARCH_COUNT, quotes, search
from sim.reply import Reply, json_reply

Params = Mapping[str, str]

PATHS = {
    "chart": "/v8/finance/chart/",
    "download": "/v7/finance/download/",
    "quote": "/v7/finance/quote",
    "search": "/v1/finance/search",
}


def path_name(path: str) -> str:
    """Return the key of PATHS that a request's path belongs to; empty for an unknown path."""
    for name, start in PATHS.items():
        if path == start or (start.endswith("/") and path.startswith(start)):
            return name
    return ""


def symbols_of(path: str, params: Params) -> tuple[str, ...]:
    """Return the symbols that a request names, upper case; empty for a search or an unknown path."""
    name = path_name(path)
    if name in ("chart", "download"):
        return (unquote(path.removeprefix(PATHS[name])).upper(),)
    if name == "quote":
        return tuple(filter(None, params.get("symbols", "").upper().split(",")))
    return ()


class Api:
    """The API of one market."""

    def __init__(self, market: Market, anomalies: AnomalyBoard) -> None:
        self._market, self._anomalies = market, anomalies

    def answer(self, path: str, params: Params) -> Reply:
        """Return the reply to a GET of `path`."""
        name = path_name(path)
        try:
            return self._answer(name, symbols_of(path, params), params)
        except ApiError as error:
            envelope = {"chart": "chart", "quote": "quoteResponse"}.get(name, "finance")
            return json_reply(error_body(error, envelope), status=error.status)
        except InsteadError as instead:
            return instead.reply

    def _answer(self, name: str, symbols: tuple[str, ...], params: Params) -> Reply:
        if name == "chart":
            return json_reply({"chart": {"result": [self._chart(symbols[0], params)[0]], "error": None}})
        if name == "download":
            result, view = self._chart(symbols[0], {"interval": "1d", "range": "1y", **params})
            if "timestamp" not in result or "adjclose" not in result["indicators"]:
                raise not_found()
            return download(result, view, foreign="foreign_csv" in self._anomalies.of(view))
        if name == "quote":
            if not symbols:
                raise bad_request('Missing value for the "symbols" argument')
            return json_reply(quotes(self._market, list(symbols)))
        if name == "search":
            count = params.get("quotesCount", "")
            limit = int(count) if count.isdigit() else DEFAULT_SEARCH_COUNT
            return json_reply(search(self._market, params.get("q", ""), limit))
        raise ApiError(404, "Not Found", f"no such path; the paths are {', '.join(PATHS.values())}")

    def _chart(self, symbol: str, params: Params) -> tuple[Json, View]:
        try:
            view = self._market.at(symbol)
        except UnknownSymbolError:
            raise not_found() from None
        query = parse_query(view, params)
        result = chart(view, query)
        for name in self._anomalies.of(view):
            ANOMALIES[name].change(result, view, query)
        return result, view

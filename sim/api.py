"""The API's paths: from a request to a reply, with nothing of HTTP's transport."""

from collections.abc import Mapping
from urllib.parse import unquote

from sim.chart import ApiError, bad_request, chart, error_body
from sim.market import Market
from sim.quotes import DEFAULT_SEARCH_COUNT, quotes, search
from sim.reply import Reply, json_reply

CHART, QUOTE, SEARCH = "/v8/finance/chart/", "/v7/finance/quote", "/v1/finance/search"


def symbols_of(path: str, params: Mapping[str, str]) -> tuple[str, ...]:
    """The symbols that a request is about, upper case; none for a search or an unknown path."""
    if path.startswith(CHART):
        return (unquote(path.removeprefix(CHART)).upper(),)
    if path == QUOTE:
        return tuple(filter(None, params.get("symbols", "").upper().split(",")))
    return ()


def answer(market: Market, path: str, params: Mapping[str, str]) -> Reply:
    """The reply to a GET of `path`."""
    symbols = symbols_of(path, params)
    try:
        if path.startswith(CHART):
            return json_reply(chart(market, symbols[0], params))
        if path == QUOTE:
            if not symbols:
                raise bad_request("Missing required query parameter=symbols")
            return json_reply(quotes(market, list(symbols)))
        if path == SEARCH:
            count = params.get("quotesCount", "")
            limit = int(count) if count.isdigit() else DEFAULT_SEARCH_COUNT
            return json_reply(search(market, params.get("q", ""), limit))
        raise ApiError(404, "Not Found", f"no such path: {path}")
    except ApiError as error:
        envelope = "chart" if path.startswith(CHART) else "quoteResponse" if path == QUOTE else "finance"
        return json_reply(error_body(error, envelope), status=error.status)

"""quote, bars, search, indicators, compute."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from finstage_client import specs
from finstage_client.cli import output
from finstage_client.cli.output import error_line, out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.plain import info
from finstage_client.specs import IndicatorSpec
from finstage_client.times import moment
from finstage_client.values import FrameInfo, IndicatorInfo, IndicatorResult, ParameterInfo, Quote, SeriesInfo
from finstage_market.errors import InvalidRequest
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol


def _spec(text: str | IndicatorSpec) -> IndicatorSpec:
    try:
        return specs.parse(text) if isinstance(text, str) else text
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def time(text: str | datetime) -> datetime:
    """Return the time that `text` names."""
    try:
        return moment("", text)
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from None


def symbol_of(text: str) -> str:
    """Return a symbol in its one form."""
    try:
        return parse_symbol(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def _limit(text: str | int) -> int | Literal["all"]:
    if text == "all":
        return "all"
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise typer.BadParameter(f"{text!r} is neither a number of bars nor 'all'")
    return number


def one_of(*names: str) -> Callable[[str], str]:
    """Return a parser that accepts these words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, names))}")
        return text.lower()

    return parse


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Symbol = Annotated[
    str,
    typer.Argument(
        parser=symbol_of, metavar="SYMBOL", help="As providers write it: AAPL, ^GSPC, BTC-USD, EURUSD=X."
    ),
]
IntervalOption = Annotated[Interval, typer.Option("--interval", "-i", help="The time that one bar covers.")]
Start = Annotated[
    datetime | None,
    typer.Option(
        parser=time,
        metavar="TIME",
        help="Bars that opened at or after this: 2024-01-31, 2024-01-31T14:30Z, -30d (back from now).",
    ),
]
End = Annotated[
    datetime | None, typer.Option(parser=time, metavar="TIME", help="Bars that opened before this.")
]
Limit = Annotated[
    Any,
    typer.Option(
        parser=_limit,
        metavar="N",
        help="The newest N bars, or all. [default: 500, without --start and --end]",
    ),
]
Adjustment = Annotated[
    str,
    typer.Option(parser=one_of("splits", "all"), metavar="NAME", help="splits, or all (dividends too)."),
]
Indicators = Annotated[
    list[IndicatorSpec],
    typer.Option("--indicator", parser=_spec, metavar="SPEC", help=f"{specs.GRAMMAR}; may be repeated."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (quote, bars, search, indicators, compute):
        app.command()(command)


def quote(
    context: typer.Context,
    symbols: Annotated[list[str], typer.Argument(parser=symbol_of, metavar="SYMBOL...")],
    as_json: Json = False,
) -> None:
    """Print the latest quotes."""
    targets: Targets = context.obj
    with targets.client() as client:
        results = client.quotes(symbols)
    if as_json:
        print_json({"quotes": results})
    elif quotes := [result.quote for result in results if result.quote]:
        numbers = ("price", "change", "day low", "day high", "volume")
        names = ("symbol", "price", "currency", "change", "day low", "day high", "volume", "market")
        output.print_table(
            "Quotes",
            (*names, "as of (UTC)", "cache", "source"),
            [_quote_row(each) for each in quotes],
            right=numbers,
        )
    failed = [result for result in results if result.error]
    for result in failed:
        error_line(f"{result.symbol}: {result.error}")
    if failed:
        raise typer.Exit(1)


def _quote_row(quote: Quote) -> list[str]:
    digits = quote.price_precision
    change = "" if not quote.previous_close else f"{quote.price / quote.previous_close - 1:+.2%}"
    return [
        quote.symbol,
        output.number(quote.price, digits),
        quote.currency,
        change,
        output.number(quote.day_low, digits),
        output.number(quote.day_high, digits),
        output.number(quote.day_volume, 0),
        quote.market_state.lower(),
        output.moment(quote.provenance.as_of),
        quote.provenance.cache.lower(),
        output.source(quote.provenance),
    ]


def bars(
    context: typer.Context,
    symbol: Symbol,
    interval: IntervalOption = Interval.D1,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    adjustment: Adjustment = "splits",
    as_json: Json = False,
) -> None:
    """Print bars of one series, oldest first."""
    targets: Targets = context.obj
    with targets.client() as client:
        frame = client.bars(symbol, interval, start=start, end=end, limit=limit, adjustment=adjustment)
    if as_json:
        print_json(frame.attrs | {"bars": output.rows(frame)})
        return
    known = info(frame)
    named = f"{known.symbol} {known.interval}"
    currency = known.currency if isinstance(known, SeriesInfo) else ""
    output.print_frame(frame, f"{named} {currency}".rstrip() if len(frame) else _none(named, start, end))
    output.print_series_note(known)


def _none(named: str, start: datetime | None, end: datetime | None) -> str:
    since = f" from {output.moment(start)} UTC" if start else ""
    until = f" up to {output.moment(end)} UTC" if end else ""
    return f"{named}: there are no bars{since}{until}"


def search(
    context: typer.Context,
    query: str,
    limit: Annotated[int, typer.Option(help="The best N.", min=1)] = 10,
    as_json: Json = False,
) -> None:
    """Find instruments by a part of their symbol or name."""
    targets: Targets = context.obj
    with targets.client() as client:
        found = client.search(query, limit=limit)
    if as_json:
        print_json({"instruments": found})
        return
    cells = [
        (
            each.symbol,
            each.name,
            each.type.lower(),
            each.exchange_name or each.exchange,
            each.currency,
            output.source(each.provenance),
        )
        for each in found
    ]
    names = ("symbol", "name", "type", "exchange", "currency", "source")
    output.print_table(
        f"{output.counted(len(found), 'instrument')} for {query!r}", names, cells, text=("name", "exchange")
    )


def indicators(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A part of a name.")] = "",
    as_json: Json = False,
) -> None:
    """Print the catalogue of indicators."""
    targets: Targets = context.obj
    with targets.client() as client:
        catalogue = client.indicators(query)
    if as_json:
        print_json({"engine": catalogue.engine, "indicators": catalogue.indicators})
        return
    cells = [_indicator_row(each) for each in catalogue.indicators]
    names = ("name", "title", "parameters", "outputs", "lookback", "variants")
    output.print_table(
        output.counted(len(cells), "indicator"),
        names,
        cells,
        right=("lookback",),
        text=("title", "parameters", "outputs", "variants"),
    )
    out().print(f"engine: {catalogue.engine}", markup=False)


def _indicator_row(info: IndicatorInfo) -> list[str]:
    return [
        info.name,
        info.display_name,
        ", ".join(_parameter(p) for p in info.parameters),
        ", ".join(o.name for o in info.outputs),
        str(info.default_lookback),
        ", ".join(v.name for v in info.variants),
    ]


def _parameter(parameter: ParameterInfo) -> str:
    named = (c.name.lower() for c in parameter.choices if c.value == parameter.default_value)
    return f"{parameter.name}={next(named, f'{parameter.default_value:g}')}"


def compute(
    context: typer.Context,
    symbol: Symbol,
    indicator: Indicators,
    interval: IntervalOption = Interval.D1,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    adjustment: Adjustment = "splits",
    as_json: Json = False,
) -> None:
    """Print indicators of one series, bar by bar."""
    targets: Targets = context.obj
    with targets.client() as client:
        frame = client.compute(
            symbol, indicator, interval, start=start, end=end, limit=limit, adjustment=adjustment
        )
    known = info(frame)
    results = known.results if isinstance(known, FrameInfo) else ()
    if as_json:
        print_json(frame.attrs | {"rows": output.rows(frame)})
    else:
        named = f"{known.symbol} {known.interval}"
        output.print_frame(frame, named if len(frame) else _none(named, start, end))
        output.print_series_note(known)
        for each in results:
            if not each.status:
                out().print(f"{each.id}: {_used(each)}", markup=False)
    failed = [each for each in results if each.status]
    for each in failed:
        error_line(f"{each.id}: {each.status}")
    if failed:
        raise typer.Exit(1)


def _used(result: IndicatorResult) -> str:
    params = ", ".join(f"{name}={value:g}" for name, value in sorted(result.params.items()))
    return f"{result.name}({params}) as {result.variant} defines it, over {result.bars_used} bars"

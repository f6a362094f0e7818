"""quote, bars, search, indicators, compute."""

from collections.abc import Callable
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape

from finstage_client import specs
from finstage_client.calls import SeriesOptions
from finstage_client.cli import output
from finstage_client.cli.output import error_line, out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.specs import IndicatorSpec
from finstage_client.values import IndicatorInfo, IndicatorResult, ParameterInfo, Quote
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol


def _spec(text: str | IndicatorSpec) -> IndicatorSpec:
    try:
        return specs.parse(text) if isinstance(text, str) else text
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def time(text: str) -> str:
    """ISO 8601 text, checked."""
    try:
        pd.Timestamp(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write 2024-01-31 or 2024-01-31T14:30Z") from None
    return text


def symbol_of(text: str) -> str:
    """A symbol in its one form."""
    try:
        return parse_symbol(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def one_of(*names: str) -> Callable[[str], str]:
    """Takes these words, in any case."""

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
IntervalOption = Annotated[Interval, typer.Option("--interval", "-i", help="What one bar covers.")]
Start = Annotated[
    str | None, typer.Option(parser=time, metavar="TIME", help="Bars that opened at or after this (UTC).")
]
End = Annotated[
    str | None, typer.Option(parser=time, metavar="TIME", help="Bars that opened before this (UTC).")
]
Limit = Annotated[
    int | None, typer.Option(help="The newest N bars. [default: 20, without --start and --end]", min=1)
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
    """Adds the commands."""
    for command in (quote, bars, search, indicators, compute):
        app.command()(command)


def quote(
    context: typer.Context,
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...")],
    as_json: Json = False,
) -> None:
    """The latest quotes."""
    targets: Targets = context.obj
    with targets.client() as client:
        results = client.quotes(symbols)
    if as_json:
        print_json({"quotes": results})
    elif quotes := [result.quote for result in results if result.quote]:
        names = (
            "symbol",
            "price",
            "currency",
            "change",
            "day low",
            "day high",
            "volume",
            "market",
            "as of (UTC)",
        )
        table = output.table(
            "Quotes",
            (*names, "cache", "source"),
            [_quote_row(each) for each in quotes],
            right=("price", "change", "day low", "day high", "volume"),
        )
        out().print(table)
    failed = [result for result in results if result.error]
    for result in failed:
        error_line(f"{result.symbol}: {result.error}")
    if failed:
        raise typer.Exit(1)


def _quote_row(quote: Quote) -> list[str]:
    digits = quote.price_precision
    change = "" if not quote.previous_close else f"{quote.price / quote.previous_close - 1:+.2%}"
    return [
        escape(quote.symbol),
        output.number(quote.price, digits),
        escape(quote.currency),
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
    """Bars of one series, oldest first."""
    targets: Targets = context.obj
    with targets.client() as client:
        frame = client.bars(symbol, interval, **_options(start, end, limit, adjustment))
    if as_json:
        print_json(frame.attrs | {"bars": output.rows(frame)})
        return
    out().print(output.frame_table(frame, f"{frame.attrs['symbol']} {interval} {frame.attrs['currency']}"))
    out().print(output.series_note(frame.attrs), soft_wrap=True)


def search(context: typer.Context, query: str, limit: int = 10, as_json: Json = False) -> None:
    """Instruments by a part of their symbol or name."""
    targets: Targets = context.obj
    with targets.client() as client:
        found = client.search(query, limit=limit)
    if as_json:
        print_json({"instruments": found})
        return
    cells = [
        (
            escape(each.symbol),
            escape(each.name),
            each.type.lower(),
            escape(each.exchange_name or each.exchange),
            escape(each.currency),
            output.source(each.provenance),
        )
        for each in found
    ]
    names = ("symbol", "name", "type", "exchange", "currency", "source")
    out().print(
        output.table(f"{output.counted(len(found), 'instrument')} for {escape(repr(query))}", names, cells)
    )


def indicators(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A part of a name.")] = "",
    as_json: Json = False,
) -> None:
    """The catalogue of indicators."""
    targets: Targets = context.obj
    with targets.client() as client:
        catalogue = client.indicators(query)
    if as_json:
        print_json({"engine": catalogue.engine, "indicators": catalogue.indicators})
        return
    cells = [_indicator_row(each) for each in catalogue.indicators]
    names = ("name", "what", "parameters", "outputs", "lookback", "variants")
    out().print(output.table(output.counted(len(cells), "indicator"), names, cells, right=("lookback",)))
    out().print(f"engine: {escape(catalogue.engine)}")


def _indicator_row(info: IndicatorInfo) -> list[str]:
    return [
        info.name,
        escape(info.display_name),
        escape(", ".join(_parameter(p) for p in info.parameters)),
        escape(", ".join(o.name for o in info.outputs)),
        str(info.default_lookback),
        escape(", ".join(v.name for v in info.variants)),
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
    """Indicators of one series, bar by bar."""
    targets: Targets = context.obj
    with targets.client() as client:
        frame = client.compute(symbol, indicator, interval, **_options(start, end, limit, adjustment))
    results: tuple[IndicatorResult, ...] = frame.attrs["results"]
    if as_json:
        print_json(frame.attrs | {"rows": output.rows(frame)})
    else:
        out().print(output.frame_table(frame, f"{frame.attrs['symbol']} {interval}"))
        out().print(output.series_note(frame.attrs), soft_wrap=True)
        for each in results:
            if not each.status:
                out().print(f"{escape(each.id)}: {escape(_used(each))}", soft_wrap=True)
    failed = [each for each in results if each.status]
    for each in failed:
        error_line(f"{each.id}: {each.status}")
    if failed:
        raise typer.Exit(1)


def _used(result: IndicatorResult) -> str:
    params = ", ".join(f"{name}={value:g}" for name, value in sorted(result.params.items()))
    return f"{result.name}({params}) as {result.variant} defines it, over {result.bars_used} bars"


def _options(start: str | None, end: str | None, limit: int | None, adjustment: str) -> SeriesOptions:
    if start is None and end is None and limit is None:
        limit = 20
    return {"start": start, "end": end, "limit": limit, "adjustment": adjustment}

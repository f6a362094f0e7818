"""Messages: what ingest holds, as the contract says it."""

from typing import cast

from finstage.market.v1 import errors_pb2, instrument_pb2, provenance_pb2, quote_pb2, series_pb2
from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_market.times import timestamp
from services.ingest.series import Attempt, Instrument, Quote, SeriesState
from services.ingest.store.values import Commit, CoverageRead

DATA = "data"


def series_header(
    state: SeriesState,
    coverage: CoverageRead,
    instrument: Instrument | None,
    adjustment: series_pb2.Adjustment,
    *,
    last_is_final: bool,
) -> series_pb2.BarSeries:
    """All of a BarSeries but the columns."""
    header = series_pb2.BarSeries(
        symbol=state.key.symbol,
        interval=state.key.interval,
        adjustment=adjustment,
        version=series_pb2.SeriesVersion(epoch=state.epoch, revision=state.revision),
        last_is_final=last_is_final,
        coverage=_coverage(state, coverage),
        provenance=_provenance(state.source, state.as_of_ms, state.fetched_at_ms),
        currency=instrument.currency if instrument else "",
        time_zone=instrument.time_zone if instrument else "",
    )
    return header


def quote(of: Quote) -> quote_pb2.Quote:
    """A quote."""
    return quote_pb2.Quote(
        symbol=of.symbol,
        price=of.price,
        currency=of.currency,
        price_precision=of.price_precision,
        previous_close=of.previous_close,
        day_open=of.day_open,
        day_high=of.day_high,
        day_low=of.day_low,
        day_volume=of.day_volume,
        market_state=f"MARKET_STATE_{of.market_state or 'UNSPECIFIED'}",
        provenance=_provenance(of.source, of.market_time_ms, of.fetched_at_ms, of.attempts),
    )


def instrument(of: Instrument) -> instrument_pb2.Instrument:
    """An instrument."""
    return instrument_pb2.Instrument(
        symbol=of.symbol,
        name=of.name,
        type=f"INSTRUMENT_TYPE_{of.type or 'UNSPECIFIED'}",
        exchange=of.exchange,
        exchange_name=of.exchange_name,
        currency=of.currency,
        time_zone=of.time_zone,
        price_precision=of.price_precision,
        first_bar_time=None if of.first_bar_ms is None else timestamp(of.first_bar_ms),
        provenance=_provenance(of.source, None, of.fetched_at_ms),
    )


def commit(of: Commit) -> store_pb2.Commit:
    """A line of the log of commits."""
    return store_pb2.Commit(
        symbol=of.key.symbol,
        interval=of.key.interval,
        version=series_pb2.SeriesVersion(epoch=of.epoch, revision=of.revision),
        restated=of.restated,
        first_changed=timestamp(of.first_changed_ms),
        last_changed=timestamp(of.last_changed_ms),
        committed_at=timestamp(of.committed_at_ms),
    )


def _coverage(state: SeriesState, read: CoverageRead) -> series_pb2.Coverage:
    start_ms, end_ms = state.covered_start_ms, state.covered_end_ms
    return series_pb2.Coverage(
        start=None if start_ms is None else timestamp(start_ms),
        end=None if end_ms is None else timestamp(end_ms),
        gaps=[
            series_pb2.Gap(
                start=timestamp(gap.start_ms),
                end=timestamp(gap.end_ms),
                reason=f"GAP_REASON_{gap.reason}",
                missing_bars=gap.missing_bars,
                detail=gap.detail,
            )
            for gap in read.gaps
        ],
        gaps_left_out=read.gaps_left_out,
        flags=[
            series_pb2.BarFlag(
                open_time=timestamp(flag.open_time_ms),
                reason=f"FLAG_REASON_{flag.reason}",
                detail=flag.detail,
            )
            for flag in read.flags
        ],
    )


def attempts(trail: tuple[Attempt, ...]) -> list[provenance_pb2.ProviderAttempt]:
    """The providers that were asked."""
    return [
        provenance_pb2.ProviderAttempt(
            provider=attempt.provider,
            error_reason=None if attempt.outcome == DATA else error_reason(attempt.outcome),
        )
        for attempt in trail
    ]


def error_reason(of: str) -> errors_pb2.ErrorReason:
    """Return the contract's value for a Reason."""
    return cast("errors_pb2.ErrorReason", errors_pb2.ErrorReason.Value(f"ERROR_REASON_{of}"))


def _provenance(
    source: str, as_of_ms: int | None, fetched_at_ms: int | None, trail: tuple[Attempt, ...] = ()
) -> provenance_pb2.Provenance:
    return provenance_pb2.Provenance(
        source=source,
        as_of=None if as_of_ms is None else timestamp(as_of_ms),
        fetched_at=None if fetched_at_ms is None else timestamp(fetched_at_ms),
        attempts=attempts(trail),
    )

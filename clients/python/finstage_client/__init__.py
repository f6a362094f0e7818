"""Finstage from Python: quotes, bars and indicators as values and pandas DataFrames.

    from finstage_client import Client

    with Client() as client:
        print(client.quote("AAPL").price)
        bars = client.bars("AAPL", limit=250)
        table = client.compute("AAPL", ["sma:timeperiod=20", "rsi", "macd"], limit=250)

Errors are those of finstage_market.errors, given again here.
"""

from finstage_client.aio import AsyncClient
from finstage_client.calls import SeriesOptions
from finstage_client.specs import IndicatorSpec
from finstage_client.sync import Client
from finstage_client.upload import Upload, WriteProgress
from finstage_client.values import (
    Catalogue,
    Coverage,
    FrameInfo,
    IndicatorInfo,
    Instrument,
    Job,
    Provenance,
    ProviderStatus,
    Quote,
    QuoteResult,
    RowCounts,
    SeriesInfo,
    SeriesVersion,
)
from finstage_market.errors import (
    DeadlineTooShort,
    FinstageError,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unavailable,
)

__all__ = [
    "Client",
    "AsyncClient",
    "IndicatorSpec",
    "SeriesOptions",
    "Upload",
    "WriteProgress",
    "Catalogue",
    "Coverage",
    "FrameInfo",
    "IndicatorInfo",
    "Instrument",
    "Job",
    "Provenance",
    "ProviderStatus",
    "Quote",
    "QuoteResult",
    "RowCounts",
    "SeriesInfo",
    "SeriesVersion",
    "FinstageError",
    "InvalidRequest",
    "NotFound",
    "RateLimited",
    "Unavailable",
    "DeadlineTooShort",
]

"""Finstage from Python: quotes, bars and indicators as values and pandas DataFrames.

    from finstage_client import Client

    with Client() as client:
        print(client.quote("AAPL").price)
        bars = client.bars("AAPL", limit=250)
        table = client.compute("AAPL", ["sma:timeperiod=20", "rsi", "macd"], limit=250)

Errors are exceptions of one family, FinstageError.
"""

from importlib.metadata import version as _version

from finstage_client.aio import AsyncClient
from finstage_client.connection import ConnectionSettings
from finstage_client.plain import info
from finstage_client.specs import IndicatorSpec
from finstage_client.sync import Client
from finstage_client.upload import Upload, WriteProgress
from finstage_client.values import (
    BarFlag,
    BarRange,
    Catalogue,
    ChunkFailure,
    Coverage,
    Deletion,
    FrameInfo,
    Gap,
    IndicatorInfo,
    IndicatorResult,
    Instrument,
    Job,
    Provenance,
    ProviderStatus,
    Quote,
    QuoteResult,
    RejectedBar,
    RowCounts,
    SeriesInfo,
    SeriesVersion,
)
from finstage_market.errors import (
    AlreadyExists,
    DeadlineTooShort,
    FinstageError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)
from finstage_market.interval import Interval

__version__ = _version("finstage-client")

__all__ = [
    "Client",
    "AsyncClient",
    "ConnectionSettings",
    "IndicatorSpec",
    "Interval",
    "Upload",
    "WriteProgress",
    "info",
    "BarFlag",
    "BarRange",
    "Catalogue",
    "ChunkFailure",
    "Coverage",
    "FrameInfo",
    "Gap",
    "IndicatorInfo",
    "IndicatorResult",
    "Instrument",
    "Job",
    "Provenance",
    "ProviderStatus",
    "Quote",
    "QuoteResult",
    "RejectedBar",
    "Deletion",
    "RowCounts",
    "SeriesInfo",
    "SeriesVersion",
    "FinstageError",
    "Reason",
    "AlreadyExists",
    "DeadlineTooShort",
    "InvalidRequest",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "RateLimited",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "__version__",
]

"""A servicer that answers at once."""

from collections.abc import AsyncIterator
from typing import Any

from finstage.market.v1 import quote_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import Reason, Unavailable


class Quick:
    """PriceService that answers at once, or fails for an empty symbol."""

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Any) -> pb.GetQuoteResponse:
        if not request.symbol:
            raise Unavailable(Reason.TOO_STALE, "old", retry_after_s=5.0)
        return pb.GetQuoteResponse(quote=quote_pb2.Quote(symbol=request.symbol, price=1.5, currency="USD"))

    async def StreamBars(self, request: pb.StreamBarsRequest, context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b""

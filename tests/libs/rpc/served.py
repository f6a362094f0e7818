"""A small program like a service's __main__: print the ports, then serve PriceService until stopped.

GetQuote waits for as many seconds as its symbol says; WatchQuotes sends one event and never ends.
"""

import asyncio
from typing import Any

from finstage.market.v1 import quote_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_rpc import logs
from finstage_rpc.server import Server, run
from finstage_rpc.service import Service
from finstage_rpc.settings import ServerSettings, load


class Slow:
    """PriceService with slow answers."""

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Any) -> pb.GetQuoteResponse:
        print("asked", flush=True)
        await asyncio.sleep(float(request.symbol))
        return pb.GetQuoteResponse(quote=quote_pb2.Quote(symbol=request.symbol, price=1.0))

    async def WatchQuotes(self, request: pb.WatchQuotesRequest, context: Any) -> Any:
        yield pb.WatchQuotesResponse()
        await asyncio.Event().wait()


class Announcing(Server):
    """A server that prints its ports when it serves."""

    async def start(self) -> None:
        await super().start()
        print(self.port, self.metrics_port, flush=True)


if __name__ == "__main__":
    settings = load(ServerSettings)
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    service = Service(pb.DESCRIPTOR.services_by_name["PriceService"], Slow())
    run(Announcing(settings, [service]).run())

"""A program with stubs of its own over the contracts, and packages of its own."""

import sys

import grpc
import utils

import libs
import services
import sim
from finstage.price.v1 import price_service_pb2 as pb
from finstage.price.v1 import price_service_pb2_grpc as price

assert [libs.NAME, utils.NAME] == ["the project's own libs", "the project's own utils"]
assert [services.NAME, sim.NAME] == ["the project's own services", "the project's own sim"]

request = pb.GetQuoteRequest(symbol="AAPL")
with grpc.insecure_channel(sys.argv[1]) as channel:
    answer: pb.GetQuoteResponse = price.PriceServiceStub(channel).GetQuote(request)
found: float = answer.quote.price
print(request.symbol, found)

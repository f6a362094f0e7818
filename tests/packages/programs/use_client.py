"""A program of a user of the client: it calls a price service, and has packages of its own."""

import sys

import utils

import libs
import services
import sim
from finstage_client import Client, Interval, NotFound, Quote, Reason

assert [libs.NAME, utils.NAME] == ["the project's own libs", "the project's own utils"]
assert [services.NAME, sim.NAME] == ["the project's own services", "the project's own sim"]

with Client(price=sys.argv[1]) as client:
    quote: Quote = client.quote("AAPL")
    price: float = quote.price
    try:
        client.quote("NOSUCH")
    except NotFound as error:
        reason: Reason = error.reason
        print(quote.symbol, price, reason, type(error).__module__, Interval.D1)

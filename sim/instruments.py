"""Instruments: kind, exchange, currency, splits."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from sim.sessions import SCHEDULES, Schedule


class Kind(StrEnum):
    """The kind of an instrument, as the API writes it."""

    EQUITY = "EQUITY"
    ETF = "ETF"
    INDEX = "INDEX"
    FUTURE = "FUTURE"
    CURRENCY = "CURRENCY"
    CRYPTO = "CRYPTOCURRENCY"
    FUND = "MUTUALFUND"


TYPE_NAMES = {
    Kind.EQUITY: "Equity",
    Kind.ETF: "ETF",
    Kind.INDEX: "Index",
    Kind.FUTURE: "Futures",
    Kind.CURRENCY: "Currency",
    Kind.CRYPTO: "Cryptocurrency",
    Kind.FUND: "Fund",
}


@dataclass(frozen=True)
class Exchange:
    """An exchange as the API names it."""

    code: str
    name: str  # fullExchangeName
    display: str  # exchDisp of search
    schedule: str  # a key of SCHEDULES
    currency: str


EXCHANGES = {
    e.code: e
    for e in (
        Exchange("NMS", "NasdaqGS", "NASDAQ", "us", "USD"),
        Exchange("NGM", "NasdaqGM", "NASDAQ", "us", "USD"),
        Exchange("NYQ", "NYSE", "NYSE", "us", "USD"),
        Exchange("PCX", "NYSEArca", "NYSEArca", "us", "USD"),
        Exchange("NAS", "Nasdaq", "NASDAQ", "us_index", "USD"),
        Exchange("SNP", "SNP", "SNP", "us_index", "USD"),
        Exchange("NIM", "Nasdaq GIDS", "NASDAQ GIDS", "us_index", "USD"),
        Exchange("DJI", "DJI", "Dow Jones", "us_index", "USD"),
        Exchange("TOR", "Toronto", "Toronto", "toronto", "CAD"),
        Exchange("LSE", "LSE", "London", "london", "GBp"),
        Exchange("FGI", "FTSE Index", "FTSE Index", "london", "GBP"),
        Exchange("GER", "XETRA", "XETRA", "xetra", "EUR"),
        Exchange("PAR", "Paris", "Paris", "paris", "EUR"),
        Exchange("AMS", "Amsterdam", "Amsterdam", "amsterdam", "EUR"),
        Exchange("EBS", "Swiss", "Swiss", "zurich", "CHF"),
        Exchange("CPH", "Copenhagen", "Copenhagen", "copenhagen", "DKK"),
        Exchange("JPX", "Tokyo", "Tokyo", "tokyo", "JPY"),
        Exchange("OSA", "Osaka", "Osaka", "tokyo", "JPY"),
        Exchange("HKG", "HKSE", "Hong Kong", "hong_kong", "HKD"),
        Exchange("ASX", "ASX", "Australian", "sydney", "AUD"),
        Exchange("NSI", "NSE", "NSE", "mumbai", "INR"),
        Exchange("CCY", "CCY", "CCY", "fx", "USD"),
        Exchange("CCC", "CCC", "CCC", "crypto", "USD"),
        Exchange("CMX", "COMEX", "New York Commodity Exchange", "futures", "USD"),
        Exchange("NYM", "NY Mercantile", "New York Mercantile Exchange", "futures", "USD"),
        Exchange("CME", "CME", "Chicago Mercantile Exchange", "futures", "USD"),
    )
}


@dataclass(frozen=True)
class Split:
    """A split: `numerator` new shares for `denominator` old ones, from the session of `day` on."""

    day: dt.date
    numerator: int
    denominator: int

    @property
    def ratio(self) -> float:
        return self.numerator / self.denominator


@dataclass(frozen=True)
class Instrument:
    """One row of the table. Prices are in `currency`, adjusted for every split of `splits`."""

    symbol: str
    name: str
    kind: Kind
    exchange: Exchange
    currency: str
    listed: dt.date
    first_price: float
    price: float
    volatility: float  # per year, as a fraction
    volume: float  # of a typical day
    decimals: int = 2  # of the smallest price step
    price_hint: int = 2
    dividend_yield: float = 0.0
    dividends_a_year: int = 4
    capital_gains_yield: float = 0.0  # paid in December
    splits: tuple[Split, ...] = ()
    anomalies: tuple[str, ...] = ()  # names of sim.anomalies

    @property
    def defective(self) -> bool:
        """Whether the symbol exists only to show an anomaly."""
        return self.symbol.startswith("X-")

    @property
    def schedule(self) -> Schedule:
        return SCHEDULES[self.exchange.schedule]

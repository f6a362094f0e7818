"""The market's table: instruments with their exchange, currency, splits and dividends.

Prices are plausible, not real: each walks at random from one price at its listing to another at
sim.prices.ANCHOR, and on from there.
"""

import datetime as dt

from sim.instruments import EXCHANGES, Instrument, Kind, Split


def _make(
    symbol: str,
    name: str,
    kind: Kind,
    exchange: str,
    listed: str,
    prices: tuple[float, float],
    volatility: float,
    volume: float,
    *,
    currency: str = "",
    decimals: int = 2,
    price_hint: int = 2,
    dividend_yield: float = 0.0,
    dividends_a_year: int = 4,
    capital_gains_yield: float = 0.0,
    splits: str = "",
    anomalies: tuple[str, ...] = (),
) -> Instrument:
    """Return one instrument.

    prices: at the listing and at sim.prices.ANCHOR.
    splits: such as "2020-08-31 4:1, 2014-06-09 7:1".
    """
    parsed = []
    for part in filter(None, splits.split(", ")):
        day, ratio = part.split(" ")
        numerator, denominator = ratio.split(":")
        parsed.append(Split(dt.date.fromisoformat(day), int(numerator), int(denominator)))
    return Instrument(
        symbol=symbol,
        name=name,
        kind=kind,
        exchange=EXCHANGES[exchange],
        currency=currency or EXCHANGES[exchange].currency,
        listed=dt.date.fromisoformat(listed),
        first_price=prices[0],
        price=prices[1],
        volatility=volatility,
        volume=volume,
        decimals=decimals,
        price_hint=price_hint,
        dividend_yield=dividend_yield,
        dividends_a_year=dividends_a_year,
        capital_gains_yield=capital_gains_yield,
        splits=tuple(sorted(parsed, key=lambda split: split.day)),
        anomalies=anomalies,
    )


def _real() -> list[Instrument]:
    equity, etf, index, fund = Kind.EQUITY, Kind.ETF, Kind.INDEX, Kind.FUND
    fx, crypto, future = Kind.CURRENCY, Kind.CRYPTO, Kind.FUTURE
    # fmt: off
    return [
        # United States
        _make("AAPL", "Apple Inc.", equity, "NMS", "1980-12-12", (0.10, 269.0), 0.28, 5.2e7,
              dividend_yield=0.004,
              splits="1987-06-16 2:1, 2000-06-21 2:1, 2005-02-28 2:1, 2014-06-09 7:1, 2020-08-31 4:1"),
        _make("MSFT", "Microsoft Corporation", equity, "NMS", "1986-03-13", (0.09, 517.0), 0.26, 2.1e7,
              dividend_yield=0.007, splits="1987-09-21 2:1, 1996-12-09 2:1, 1999-03-29 2:1, 2003-02-18 2:1"),
        _make("NVDA", "NVIDIA Corporation", equity, "NMS", "1999-01-22", (0.04, 206.0), 0.48, 1.9e8,
              dividend_yield=0.0002, splits="2001-09-12 2:1, 2007-09-11 3:2, 2021-07-20 4:1, 2024-06-10 10:1",
              anomalies=("float_splits",)),
        _make("TSLA", "Tesla, Inc.", equity, "NMS", "2010-06-29", (1.59, 468.0), 0.55, 9.5e7,
              splits="2020-08-31 5:1, 2022-08-25 3:1"),
        _make("AMZN", "Amazon.com, Inc.", equity, "NMS", "1997-05-15", (0.10, 254.0), 0.34, 4.4e7,
              splits="1998-06-02 2:1, 1999-01-05 3:1, 1999-09-02 2:1, 2022-06-06 20:1"),
        _make("GOOGL", "Alphabet Inc.", equity, "NMS", "2004-08-19", (2.51, 283.0), 0.29, 3.6e7,
              dividend_yield=0.003, splits="2014-04-03 2:1, 2022-07-18 20:1"),
        _make("META", "Meta Platforms, Inc.", equity, "NMS", "2012-05-18", (38.23, 637.0), 0.38, 1.5e7,
              dividend_yield=0.003),
        _make("JPM", "JPMorgan Chase & Co.", equity, "NYQ", "1980-03-17", (5.04, 309.0), 0.27, 8.6e6,
              dividend_yield=0.02, splits="1984-07-23 3:2, 1998-06-15 2:1, 2000-06-12 3:2"),
        _make("KO", "The Coca-Cola Company", equity, "NYQ", "1962-01-02", (0.26, 68.5), 0.18, 1.5e7,
              dividend_yield=0.03, splits="1968-06-03 2:1, 1977-06-01 2:1, 1986-07-01 3:1, 1990-05-14 2:1, "
              "1992-05-12 2:1, 1996-05-13 2:1, 2012-08-13 2:1"),
        _make("IBM", "International Business Machines Corporation", equity, "NYQ", "1962-01-02",
              (7.29, 304.0), 0.23, 4.3e6, dividend_yield=0.022,
              splits="1964-05-18 5:4, 1966-05-18 3:2, 1968-04-23 2:1, 1973-05-29 5:4, 1979-06-01 4:1, "
              "1997-05-28 2:1, 1999-05-27 2:1"),
        _make("GME", "GameStop Corporation", equity, "NYQ", "2002-02-13", (2.51, 22.3), 0.75, 7.5e6,
              splits="2007-03-19 2:1, 2022-07-22 4:1"),
        _make("BRK-B", "Berkshire Hathaway Inc.", equity, "NYQ", "1996-05-09", (22.2, 477.0), 0.17, 4.2e6,
              splits="2010-01-21 50:1"),
        _make("XOM", "Exxon Mobil Corporation", equity, "NYQ", "1962-01-02", (1.6, 114.0), 0.23, 1.5e7,
              dividend_yield=0.034, splits="1976-07-23 2:1, 1981-06-12 2:1, 1987-09-15 2:1, 1997-04-14 2:1, "
              "2001-07-19 2:1"),
        # Exchange-traded funds
        _make("SPY", "SPDR S&P 500 ETF Trust", etf, "PCX", "1993-01-29", (43.97, 683.0), 0.17, 7.2e7,
              dividend_yield=0.012),
        _make("QQQ", "Invesco QQQ Trust", etf, "NGM", "1999-03-10", (51.0, 632.0), 0.22, 5.4e7,
              dividend_yield=0.006, splits="2000-03-20 2:1"),
        _make("VTI", "Vanguard Total Stock Market ETF", etf, "PCX", "2001-06-15", (56.0, 336.0), 0.17, 3.9e6,
              dividend_yield=0.013, splits="2008-06-18 2:1"),
        _make("GLD", "SPDR Gold Shares", etf, "PCX", "2004-11-18", (44.4, 368.0), 0.16, 1.1e7),
        # Indices
        _make("^GSPC", "S&P 500", index, "SNP", "1927-12-30", (17.66, 6852.0), 0.17, 4.9e9),
        _make("^IXIC", "NASDAQ Composite", index, "NIM", "1971-02-05", (100.0, 23835.0), 0.21, 8.6e9),
        _make("^DJI", "Dow Jones Industrial Average", index, "DJI", "1992-01-02",
              (3172.4, 47337.0), 0.16, 5.0e8),
        _make("^FTSE", "FTSE 100", index, "FGI", "1984-01-03", (997.5, 9701.0), 0.15, 8.2e8),
        _make("^FCHI", "CAC 40", index, "PAR", "1990-03-01", (1836.0, 8110.0), 0.19, 6.1e7),
        _make("^N225", "Nikkei 225", index, "OSA", "1965-01-05", (1257.7, 51497.0), 0.20, 1.5e8),
        # Crypto
        _make("BTC-USD", "Bitcoin USD", crypto, "CCC", "2014-09-17", (457.33, 106500.0), 0.60, 5.8e10),
        _make("ETH-USD", "Ethereum USD", crypto, "CCC", "2017-11-09", (320.88, 3600.0), 0.72, 3.1e10),
        _make("SOL-USD", "Solana USD", crypto, "CCC", "2020-04-10", (0.95, 166.0), 0.85, 6.4e9, decimals=4),
        # Currencies
        _make("EURUSD=X", "EUR/USD", fx, "CCY", "2003-12-01", (1.1965, 1.1521), 0.08, 0,
              decimals=5, price_hint=4),
        _make("GBPUSD=X", "GBP/USD", fx, "CCY", "2003-12-01", (1.7211, 1.3136), 0.09, 0,
              decimals=5, price_hint=4),
        _make("USDJPY=X", "USD/JPY", fx, "CCY", "1996-10-30", (114.18, 154.12), 0.09, 0, currency="JPY",
              decimals=3, price_hint=4),
        _make("INR=X", "USD/INR", fx, "CCY", "2003-12-01", (45.709, 88.77), 0.05, 0, currency="INR",
              decimals=4, price_hint=4),
        # Futures
        _make("GC=F", "Gold Dec 26", future, "CMX", "2000-08-30", (273.9, 4000.4), 0.16, 2.1e5, decimals=1),
        _make("CL=F", "Crude Oil", future, "NYM", "2000-08-23", (32.05, 61.05), 0.36, 3.3e5),
        _make("ES=F", "E-Mini S&P 500", future, "CME", "2000-09-18", (1485.25, 6882.0), 0.17, 1.5e6),
        # Europe
        _make("VOD.L", "Vodafone Group Public Limited Company", equity, "LSE", "1988-11-01",
              (9.1, 91.4), 0.24, 6.1e7, dividend_yield=0.045, dividends_a_year=2,
              splits="1994-07-15 3:1, 1999-09-27 5:1, 2006-07-31 7:8, 2014-02-24 6:11"),
        _make("OCDO.L", "Ocado Group plc", equity, "LSE", "2010-07-21", (180.0, 229.0), 0.55, 4.1e6,
              decimals=1),
        _make("AZN.L", "AstraZeneca PLC", equity, "LSE", "1993-05-17", (617.0, 12420.0), 0.24, 2.0e6,
              decimals=0, dividend_yield=0.019, dividends_a_year=2),
        _make("SAP.DE", "SAP SE", equity, "GER", "1994-02-01", (10.1, 224.5), 0.28, 1.6e6,
              dividend_yield=0.01, dividends_a_year=1, splits="2000-07-31 3:1, 2006-12-21 4:1"),
        _make("MUV2.DE", "Muenchener Rueckversicherungs-Gesellschaft AG", equity, "GER", "1998-06-24",
              (188.6, 539.0), 0.24, 2.3e5, dividend_yield=0.037, dividends_a_year=1),
        _make("AIR.PA", "Airbus SE", equity, "PAR", "2000-07-10", (19.5, 214.0), 0.31, 9.4e5,
              dividend_yield=0.014, dividends_a_year=1),
        _make("ASML.AS", "ASML Holding N.V.", equity, "AMS", "1998-07-20", (10.8, 920.0), 0.33, 6.2e5,
              decimals=1, dividend_yield=0.007, splits="2000-04-17 3:1"),
        _make("NESN.SW", "Nestlé S.A.", equity, "EBS", "1990-01-03", (8.6, 77.2), 0.17, 4.4e6,
              dividend_yield=0.038, dividends_a_year=1, splits="2001-06-11 10:1, 2008-06-30 10:1"),
        _make("ORSTED.CO", "Ørsted A/S", equity, "CPH", "2016-06-09", (255.0, 113.0), 0.36, 2.1e6),
        # Asia, Australia, Canada
        _make("7203.T", "Toyota Motor Corporation", equity, "JPX", "1999-05-06", (655.0, 3140.0), 0.25, 2.4e7,
              decimals=1, dividend_yield=0.029, dividends_a_year=2, splits="2021-09-29 5:1"),
        _make("0700.HK", "Tencent Holdings Limited", equity, "HKG", "2004-06-16", (0.83, 630.0), 0.36, 2.2e7,
              dividend_yield=0.007, dividends_a_year=1, splits="2014-05-15 5:1"),
        _make("BHP.AX", "BHP Group Limited", equity, "ASX", "1988-01-29", (2.16, 43.4), 0.26, 6.9e6,
              dividend_yield=0.041, dividends_a_year=2),
        _make("RY.TO", "Royal Bank of Canada", equity, "TOR", "1995-01-12", (7.2, 206.0), 0.17, 4.2e6,
              dividend_yield=0.031, splits="2000-10-05 2:1, 2006-04-07 2:1"),
        _make("M&M.NS", "Mahindra & Mahindra Limited", equity, "NSI", "1996-01-01",
              (28.1, 3540.0), 0.31, 2.5e6,
              dividend_yield=0.007, dividends_a_year=1, splits="2010-03-30 2:1, 2017-12-21 2:1"),
        # Funds
        _make("VFINX", "Vanguard 500 Index Fund", fund, "NAS", "1980-01-02", (12.9, 632.0), 0.17, 0,
              dividend_yield=0.012, capital_gains_yield=0.004),
        _make("0P000071W8.TO", "TD Canadian Index Fund - e", fund, "TOR", "2005-01-04",
              (14.6, 105.9), 0.15, 0,
              dividend_yield=0.02, dividends_a_year=1),
    ]
    # fmt: on


def _defective() -> list[Instrument]:
    """Return the symbols that exist only to show defects of upstream data; see sim.anomalies."""
    rows = {
        "X-NULLBAR": ("null_bar",),
        "X-CLOSEONLY": ("close_only",),
        "X-LIVETAIL": ("live_tail",),
        "X-TAILOUT": ("tail_outside",),
        "X-ZEROFIRST": ("zero_first",),
        "X-EMPTY": ("empty",),
        "X-BAREMETA": ("bare_meta",),
        "X-DELISTED": ("empty", "bare_meta"),
        "X-ORPHAN": ("orphan_events",),
        "X-FLOATSPLIT": ("float_splits",),
        "X-BADLOW": ("bad_low",),
        "X-STALETIME": ("stale_time",),
        "X-PENCE.L": ("hundredfold",),
        "X-NOTIME": ("no_timestamp",),
        "X-RAGGED": ("ragged",),
        "X-CSV": ("foreign_csv",),
        "X-NODATA": ("no_data",),
        "X-GONE": ("gone",),
        "X-REACH": ("out_of_reach",),
        "X-CRUMB": ("crumb",),
        "X-BUSY": ("busy",),
        "X-BUSYHTML": ("busy_html",),
        "X-BUSY200": ("busy_200",),
        "X-ERROR200": ("error_200",),
    }
    # X-LIVETAIL shows the live price, so it trades around the clock.
    exchanges = {"X-LIVETAIL": ("CCC", Kind.CRYPTO), "X-PENCE.L": ("LSE", Kind.EQUITY)}
    made = []
    for symbol, anomalies in rows.items():
        exchange, kind = exchanges.get(symbol, ("NYQ", Kind.EQUITY))
        name = "Anomaly: " + ", ".join(anomalies).replace("_", " ")
        splits = "2010-06-14 2:1, 2022-03-21 3:2" if exchange == "NYQ" else ""
        made.append(
            _make(
                symbol,
                name,
                kind,
                exchange,
                "2003-01-02",
                (20.0, 100.0),
                0.25,
                1e6,
                dividend_yield=0.02 if exchange == "NYQ" else 0.0,
                splits=splits,
                anomalies=anomalies,
            )
        )
    return made


def table() -> dict[str, Instrument]:
    """Return every instrument of the market, by symbol."""
    return {instrument.symbol: instrument for instrument in (*_real(), *_defective())}

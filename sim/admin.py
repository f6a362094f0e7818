"""The admin paths: how an operator or a test makes the market misbehave. README.md lists them."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from sim.anomalies import ANOMALIES, AnomalyBoard
from sim.clock import FakeClock, epoch
from sim.faults import FaultBoard, parse_fault
from sim.market import Market, UnknownSymbolError
from sim.reply import Reply, json_reply
from sim.stats import Stats

Params = Mapping[str, str]


class Admin:
    """Turns admin requests into calls. Every path takes GET and POST, parameters in the query."""

    def __init__(self, market: Market, faults: FaultBoard, anomalies: AnomalyBoard, stats: Stats) -> None:
        self._market, self._faults, self._anomalies, self._stats = market, faults, anomalies, stats
        self._paths: dict[str, Callable[[Params], Any]] = {
            "faults": self._fault,
            "faults/clear": lambda params: self._faults.clear(params.get("kind", "")),
            "stats": lambda params: self._stats.summary(
                symbol=params.get("symbol", "").upper(), limit=int(params.get("limit", 1000))
            ),
            "stats/clear": lambda _: self._stats.clear(),
            "restate": self._restate,
            "restate/clear": lambda params: self._market.unrestate(params.get("symbol", "").upper()),
            "anomalies": self._anomaly,
            "anomalies/clear": lambda _: self._anomalies.clear(),
            "clock": self._clock,
            "symbols": lambda _: self._symbols(),
        }

    def handle(self, path: str, params: Params) -> Reply:
        """Return the reply for /admin/`path`: 200 with the new state, 400 or 404 with the reason."""
        action = self._paths.get(path)
        if action is None:
            known = ", ".join(f"/admin/{name}" for name in self._paths)
            return json_reply({"error": f"no such path; the admin paths are {known}"}, status=404)
        try:
            result = action(params)
        except (KeyError, UnknownSymbolError) as error:
            return json_reply({"error": f"missing or unknown: {error.args[0]}"}, status=400)
        except ValueError as error:
            return json_reply({"error": str(error)}, status=400)
        return json_reply({"ok": True} if result is None else result)

    def _fault(self, params: Params) -> Any:
        if params:
            self._faults.add(parse_fault(params))
        return {"rules": self._faults.rules()}

    def _anomaly(self, params: Params) -> Any:
        if not params:
            return {name: anomaly.text for name, anomaly in ANOMALIES.items()}
        self._anomalies.add(self._market.at(params["symbol"].upper()).symbol, params["name"])
        return None

    def _restate(self, params: Params) -> Any:
        symbol, kind = params["symbol"].upper(), params.get("kind", "split")
        if kind == "split":
            numerator, _, denominator = params.get("ratio", "4:1").partition(":")
            self._market.split(symbol, int(numerator), int(denominator))
        elif kind == "dividend":
            self._market.pay(symbol, float(params.get("amount", 1.0)))
        elif kind == "correction":
            days, factor = int(params.get("days", 30)), float(params.get("factor", 1.01))
            self._market.correct(symbol, days, factor)
        else:
            raise ValueError(f"kind={kind}: must be split, dividend or correction")
        return None

    def _clock(self, params: Params) -> Any:
        clock = self._market.clock
        if params and not isinstance(clock, FakeClock):
            raise ValueError(
                "the market runs on the wall clock, which cannot be moved; start it with FINSTAGE_SIM_START"
            )
        if isinstance(clock, FakeClock):
            if "set" in params:
                clock.set(epoch(params["set"]))
            clock.advance(float(params.get("advance", 0)))
        now = clock()
        return {
            "now": now,
            "utc": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(),
            "fake": isinstance(clock, FakeClock),
        }

    def _symbols(self) -> Any:
        return [
            {
                "symbol": instrument.symbol,
                "name": instrument.name,
                "kind": instrument.kind,
                "exchange": instrument.exchange.code,
                "currency": instrument.currency,
                "anomalies": instrument.anomalies,
            }
            for instrument in self._market.instruments.values()
        ]

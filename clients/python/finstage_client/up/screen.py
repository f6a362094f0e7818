"""The screen that shows what runs and what to try."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from finstage_client.cli.output import SIMULATED, print_table
from finstage_client.up.plan import DEFAULT_PORTS, HOST, Part, Ports


def show(console: Console, planned: Sequence[Part], ports: Ports, logs: Path, loaded: str) -> None:
    """Print the screen. Lines to paste are never broken."""
    rows = [(part.name, part.address, part.ready_url) for part in planned]
    print_table("Finstage runs", ("service", "address", "health"), rows)
    if any(part.name == "sim" for part in planned):
        console.print(
            f"{SIMULATED} every price here is invented; for real prices: FINSTAGE_PROVIDER=yahoo make run"
        )
    console.print(escape(loaded))
    console.print("\nTry, from another terminal in this folder:")
    for line in (*_grpcurl(ports), *_finstage(ports)):
        console.print(f"  {escape(line)}")
    console.print(
        f"\nLogs: {escape(str(logs))}/*.log. Metrics: /metrics beside /readyz. [bold]Ctrl-C stops all[/]"
    )


def _grpcurl(ports: Ports) -> list[str]:
    price, indicators = f"{HOST}:{ports.price_port}", f"{HOST}:{ports.indicators_port}"
    bars = '"symbol":"AAPL","interval":"1d","limit":3'
    specs = '"specs":[{"name":"sma","params":{"timeperiod":20}},{"name":"rsi"}]'
    return [
        f"""grpcurl -plaintext -d '{{"symbol":"AAPL"}}' {price} finstage.price.v1.PriceService/GetQuote""",
        f"grpcurl -plaintext -d '{{{bars}}}' {price} finstage.price.v1.PriceService/GetBars",
        f"grpcurl -plaintext -d '{{{bars},{specs}}}' {indicators} "
        "finstage.indicators.v1.IndicatorService/ComputeIndicators",
    ]


def _finstage(ports: Ports) -> list[str]:
    price = f"{_command()}{_target('price', ports)}"
    indicators = f"{_command()}{_target('indicators', ports)}"
    return [
        f"{price} quote AAPL BTC-USD EURUSD=X",
        f"{price} bars AAPL --limit 10",
        f"{indicators} compute AAPL --indicator sma:timeperiod=20 --indicator rsi --indicator macd",
    ]


def _target(service: str, ports: Ports) -> str:
    """Return the option for a port that is not the default."""
    port = getattr(ports, f"{service}_port")
    return "" if port == getattr(DEFAULT_PORTS, f"{service}_port") else f" --{service}-target {HOST}:{port}"


def _command() -> str:
    """Return how to call this command from this folder, with or without an activated environment."""
    own = Path(sys.executable).parent / "finstage"
    found = shutil.which("finstage")
    if found and Path(found).resolve() == own.resolve():
        return "finstage"
    if not own.exists():
        return f"{sys.executable} -m finstage_client"
    return os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own)

"""Names of metrics and log events: the README and the code agree."""

import ast
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.ingest.upstream.metrics import UpstreamMetrics

INGEST = Path(__file__).resolve().parents[2] / "services" / "ingest"
README = (INGEST / "upstream" / "README.md").read_text()
FILES = [
    *(INGEST / "upstream").glob("*.py"),
    *(INGEST / "providers").glob("*.py"),
    *(INGEST / "fetching").glob("*.py"),
    *(INGEST / "hours").glob("*.py"),
]


def test_metrics_are_those_documented() -> None:
    registry = CollectorRegistry()
    UpstreamMetrics(registry)
    families = {f"{f.name}_total" if f.type == "counter" else f.name for f in registry.collect()}
    assert set(re.findall(r"`(finstage_upstream_\w+)", README)) == families


def test_log_events_are_those_documented() -> None:
    logged = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                assert isinstance(node.args[0], ast.Constant)
                logged.add(node.args[0].value)
    table = README.partition("| event | |")[2].partition("No event,")[0]
    documented = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")
    }
    assert documented == logged

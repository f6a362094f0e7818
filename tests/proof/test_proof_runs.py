"""Every proof runs in its brief form, with few tries on its real code path."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
PROOFS = {
    path.stem for path in (REPO / "proof").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
}
Findings = dict[str, dict[str, Any]]


@pytest.fixture
def findings_of(tmp_path: Path) -> Callable[..., Findings]:
    """Run a proof; return its findings by name."""

    def run(proof: str, *arguments: str, **settings: str) -> Findings:
        environment = {**os.environ, "FINSTAGE_BRIEF": "1", "FINSTAGE_REPORTS": str(tmp_path), **settings}
        done = subprocess.run(
            [sys.executable, "-m", f"proof.{proof}", *arguments],
            cwd=REPO,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads((tmp_path / "proof" / f"{proof}.json").read_text())
        return {finding["name"]: finding for finding in found}

    return run


def test_each_proof_has_a_test_here() -> None:
    assert sorted(PROOFS) == ["cache", "ingest", "upstream"]


def test_neither_damage_nor_a_failed_redis_reaches_a_caller(findings_of: Callable[..., Findings]) -> None:
    found = findings_of("cache")
    assert set(found) == {
        "envelope fuzz",
        *(
            f"{kind}: {fault} under load"
            for kind in ("Redis", "memory over Redis")
            for fault in ("kill", "pause")
        ),
    }
    assert {name: finding["failed"] for name, finding in found.items() if finding["failed"]} == {}
    assert {o.partition(": ")[2] for o in found["envelope fuzz"]["outcomes"]} == {
        *("opened", "damaged", "other schema"),
    }


def test_faults_in_ingest_neither_lose_nor_duplicate_rows(
    findings_of: Callable[..., Findings],
) -> None:
    found = findings_of("ingest", "--seed", "2")
    strikes = (
        *("killed writes", "killed backfills", "cut between commit and acknowledgement"),
        *("two writers of one series", "disk full"),
    )
    assert set(found) == {
        *(f"{store}: {strike}" for store in ("SQLite", "PostgreSQL") for strike in strikes),
        "PostgreSQL: killed under a write",
    }
    assert [name for name, finding in found.items() if not finding["tried"] and not finding["note"]] == []
    assert {name: finding["failed"] for name, finding in found.items() if finding["failed"]} == {}


def test_a_broken_upstream_is_recognised_and_not_asked_on(
    findings_of: Callable[..., Findings], fixtures: Path
) -> None:
    found = findings_of("upstream", FINSTAGE_FIXTURES=str(fixtures))
    assert [name for name, finding in found.items() if not finding["holds"]] == []
    [replies] = (finding for name, finding in found.items() if name.startswith("mutated replies"))
    assert (replies["tried"], replies["failed"]) == (6_000, 0)
    assert int(replies["name"].partition("(")[2].partition(" data")[0].replace(",", "")) > 1_500
    assert found["ours: requests sent before a Retry-After was over"]["value"] == 0
    [outage] = (finding for name, finding in found.items() if name.startswith("an outage"))
    assert outage["tried"] > 100
    together = found["1,000 callers of one symbol: upstream requests"]
    assert (together["value"], together["failed"]) == (1, 0)

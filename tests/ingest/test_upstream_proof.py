"""The short form of proof/upstream.py."""

from pathlib import Path

import pytest

from proof.chart_fuzz import fuzz
from proof.upstream import outage, side_by_side, tell, together


def test_broken_replies_are_known_failures_or_right_bars(fixtures: Path) -> None:
    tally = fuzz(fixtures / "yahoo", count=6_000, seed=20)
    assert tally.broken == []
    assert tally.outcomes["data"] > 1_500


def test_no_retry_after_is_broken_and_calls_succeed_where_a_fifth_is_refused(tmp_path: Path) -> None:
    findings = side_by_side(calls=40, workers=8, base_s=0.1)
    assert tell(findings, tmp_path / "proof.json")
    assert (tmp_path / "proof.json").exists()


def test_an_upstream_that_is_away_is_left_alone() -> None:
    [found] = outage(seconds=4.0, workers=4)
    assert found.holds, found
    assert found.tried > 100


@pytest.mark.parametrize("callers", [1000])
def test_a_thousand_callers_of_one_symbol_cause_one_request(callers: int) -> None:
    [found] = together(callers=callers)
    assert (found.value, found.failed) == (1, 0)

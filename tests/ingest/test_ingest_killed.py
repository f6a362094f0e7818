"""A short form of `make proof-ingest`."""

from proof.ingest import prove


def test_whatever_is_killed_nothing_is_lost_and_nothing_is_there_twice() -> None:
    findings = prove(runs=4, seed=2)
    assert sum(finding.tried for finding in findings) == 4 + 3
    assert not [failure for finding in findings for failure in finding.failed]

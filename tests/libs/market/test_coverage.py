"""Coverage of a part of a series."""

from finstage.market.v1 import series_pb2
from finstage_market.coverage import cut_coverage
from finstage_market.times import timestamp

MISSING = series_pb2.GAP_REASON_PROVIDER_MISSING


def gap(start_ms: int, end_ms: int, missing: int = 3) -> series_pb2.Gap:
    return series_pb2.Gap(
        start=timestamp(start_ms), end=timestamp(end_ms), reason=MISSING, missing_bars=missing, detail="x"
    )


def flag(time_ms: int) -> series_pb2.BarFlag:
    return series_pb2.BarFlag(open_time=timestamp(time_ms), reason=series_pb2.FLAG_REASON_ZERO_PRICE)


def whole(**more: int) -> series_pb2.Coverage:
    return series_pb2.Coverage(
        start=timestamp(0),
        end=timestamp(1000),
        gaps=[gap(100, 200), gap(300, 500), gap(700, 900)],
        flags=[flag(50), flag(400), flag(600)],
        **more,
    )


def test_the_range_is_that_of_the_part() -> None:
    cut = cut_coverage(whole(), start_ms=250, end_ms=600)
    assert (cut.start, cut.end) == (timestamp(250), timestamp(600))


def test_gaps_within_are_kept_and_those_outside_are_not() -> None:
    assert list(cut_coverage(whole(), start_ms=200, end_ms=700).gaps) == [gap(300, 500)]


def test_a_gap_that_reaches_over_an_end_is_cut_and_its_count_is_unknown() -> None:
    [first, last] = cut_coverage(whole(), start_ms=400, end_ms=800).gaps
    assert (first.start, first.end) == (timestamp(400), timestamp(500))
    assert (last.start, last.end) == (timestamp(700), timestamp(800))
    assert not first.HasField("missing_bars")
    assert not last.HasField("missing_bars")
    assert (first.reason, first.detail) == (MISSING, "x")


def test_only_flags_of_bars_within_are_kept() -> None:
    assert list(cut_coverage(whole(), start_ms=400, end_ms=600).flags) == [flag(400)]


def test_gaps_left_out_are_older_than_those_listed() -> None:
    """A part that starts within the list has all its gaps."""
    assert cut_coverage(whole(gaps_left_out=7), start_ms=0, end_ms=600).gaps_left_out == 7
    assert cut_coverage(whole(gaps_left_out=7), start_ms=100, end_ms=600).gaps_left_out == 0
    assert cut_coverage(whole(), start_ms=0, end_ms=600).gaps_left_out == 0


def test_the_given_coverage_is_not_changed() -> None:
    given = whole()
    cut_coverage(given, start_ms=400, end_ms=450)
    assert given == whole()


def unfetched(start_ms: int, end_ms: int) -> series_pb2.Gap:
    reason = series_pb2.GAP_REASON_NOT_FETCHED
    return series_pb2.Gap(start=timestamp(start_ms), end=timestamp(end_ms), reason=reason)


def test_the_parts_of_a_range_that_were_not_fetched_are_gaps() -> None:
    assert list(cut_coverage(whole(), start_ms=-500, end_ms=50).gaps) == [unfetched(-500, 0)]
    assert list(cut_coverage(whole(), start_ms=950, end_ms=1100).gaps) == [unfetched(1000, 1100)]
    assert list(cut_coverage(whole(), start_ms=2000, end_ms=2100).gaps) == [unfetched(2000, 2100)]
    assert list(cut_coverage(whole(), start_ms=-200, end_ms=-100).gaps) == [unfetched(-200, -100)]


def test_bars_that_are_not_due_yet_are_not_gaps() -> None:
    assert not cut_coverage(whole(), start_ms=950, end_ms=1100, due_ms=1000).gaps
    assert list(cut_coverage(whole(), start_ms=950, end_ms=1100, due_ms=1050).gaps) == [unfetched(1000, 1050)]

"""The circuit breaker, on a clock that the test moves."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from finstage_runtime.breaker import Breaker, BreakerPolicy, BreakerState
from finstage_runtime.clock import ManualClock


def breaker(
    clock: ManualClock, policy: BreakerPolicy | None = None
) -> tuple[Breaker, list[tuple[BreakerState, BreakerState]]]:
    seen: list[tuple[BreakerState, BreakerState]] = []
    made = Breaker(
        policy or BreakerPolicy(),
        monotonic=clock.monotonic,
        changed=lambda before, after: seen.append((before, after)),
    )
    return made, seen


def test_it_opens_after_five_failures_in_a_row() -> None:
    made, seen = breaker(ManualClock())
    for _ in range(4):
        made.failed()
    made.succeeded()
    for _ in range(4):
        made.failed()
    assert (made.allow(), seen) == (True, [])
    made.failed()
    assert (made.allow(), made.retry_in_s()) == (False, 2.0)
    assert seen == [(BreakerState.CLOSED, BreakerState.OPEN)]


def test_one_probe_at_a_time_decides() -> None:
    clock = ManualClock()
    made, seen = breaker(clock)
    for _ in range(5):
        made.failed()
    clock.advance(2.0)
    assert [made.allow() for _ in range(5)] == [True, False, False, False, False]
    assert made.state is BreakerState.HALF_OPEN
    made.succeeded()
    assert made.allow()
    assert [after for _, after in seen] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_lost_probe_is_followed_by_one_other_probe() -> None:
    clock = ManualClock()
    made, _ = breaker(clock)
    for _ in range(5):
        made.failed()
    clock.advance(2.0)
    assert made.allow()  # a probe without an answer
    clock.advance(29.9)
    assert not made.allow()
    clock.advance(0.1)
    assert [made.allow() for _ in range(3)] == [True, False, False]


def test_failed_probes_are_ever_further_apart() -> None:
    clock = ManualClock()
    made, _ = breaker(clock)
    for _ in range(5):
        made.failed()
    waits = []
    for _ in range(6):
        waits.append(made.retry_in_s())
        clock.advance(waits[-1] or 0)
        assert made.allow()
        made.failed()
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_failures_of_calls_that_began_before_it_opened_do_not_prolong_it() -> None:
    made, seen = breaker(ManualClock())
    for _ in range(20):
        made.failed()
    assert made.retry_in_s() == 2.0
    assert len(seen) == 1


@given(st.lists(st.tuples(st.sampled_from(["ask", "ok", "fail"]), st.floats(0, 3)), max_size=60))
def test_it_is_closed_exactly_while_there_are_fewer_failures_in_a_row(steps: list[tuple[str, float]]) -> None:
    """Otherwise at most one call passes per `open_s`."""
    clock = ManualClock()
    made, seen = breaker(clock, BreakerPolicy(failures=3, open_s=1.0, max_open_s=1.0))
    failures, passed_at = 0, -1.0
    for what, seconds in steps:
        clock.advance(seconds)
        match what:
            case "ask":
                allowed = made.allow()
                if failures < 3:
                    assert allowed
                elif allowed:
                    assert clock.monotonic() >= passed_at + 1.0
                    passed_at = clock.monotonic()
            case "ok":
                made.succeeded()
                failures = 0
            case "fail":
                made.failed()
                failures += 1
                if failures == 3:
                    passed_at = clock.monotonic()
        assert (made.state is BreakerState.CLOSED) == (failures < 3)
    assert all(before is not after for before, after in seen)
    assert all(one[1] is other[0] for one, other in itertools.pairwise(seen))

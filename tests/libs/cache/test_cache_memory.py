"""The memory store: its limits, the order of eviction, time, and costs that do not grow."""

import random
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finstage_cache import BYTES, Cache, ManualClock, MemoryBackend, Policy, live
from finstage_cache.answer import Answer, Status
from finstage_cache.memory import ENTRY_BYTES, MemoryStore

POLICY = Policy(fresh_s=60)


def answer(*, lasts: float = 60.0, weight: int = 0) -> Answer[bytes]:
    return Answer(b"", Status.HIT, 0.0, lasts, 0.0, lasts, 0.0, weight)


def store(entries: int = 10, size: int = 10**9) -> tuple[MemoryStore, ManualClock]:
    clock = ManualClock()
    return MemoryStore(entries=entries, size=size, clock=clock), clock


def test_entries_are_bounded() -> None:
    memory, _ = store(entries=10)
    for i in range(1000):
        memory.put(f"k{i}", answer())
        assert len(memory) <= 10
    assert len(memory) == 10
    assert memory.counts.evictions == 990


def test_bytes_are_bounded_and_counted() -> None:
    room = 10 * (ENTRY_BYTES + 1000 + 10)
    memory, _ = store(entries=1000, size=room)
    for i in range(100):
        memory.put(f"k{i:03}", answer(weight=1000))
        assert memory.bytes <= room
    assert memory.bytes == len(memory) * (ENTRY_BYTES + 1000 + 4)


async def test_an_entry_larger_than_the_bound_is_refused_and_what_it_replaced_is_gone() -> None:
    cache = Cache(MemoryBackend(size=10_000))
    assert await cache.set("k", b"small", POLICY) is True
    assert await cache.set("k", b"x" * 10_000, POLICY) is False
    assert await cache.get("k") is None
    assert (cache.stats().refused, cache.stats().sets) == (1, 1)


async def test_a_loaded_value_that_is_too_large_is_answered_all_the_same() -> None:
    cache = Cache(MemoryBackend(size=10_000))

    async def load() -> bytes:
        return b"x" * 10_000

    assert len((await cache.get_or_load("k", load, POLICY)).value) == 10_000
    assert cache.stats().refused == 1


async def test_live_objects_are_held_as_they_are_and_weighed_by_the_caller() -> None:
    cache = Cache(MemoryBackend())
    state = {"running": object()}
    await cache.set("k", state, POLICY, codec=live(lambda value: 5000))
    found = await cache.get("k")
    assert found is not None
    assert found.value is state
    assert cache.stats().bytes == 5000 + ENTRY_BYTES + 1


def test_expired_entries_leave_first() -> None:
    """They leave however recently they were requested, and whatever else is held."""
    memory, clock = store(entries=10)
    for i in range(5):
        memory.put(f"long{i}", answer(lasts=1000))
        memory.put(f"short{i}", answer(lasts=10))
        assert memory.peek(f"short{i}")
    clock.advance(12)
    for i in range(5):
        memory.put(f"new{i}", answer(lasts=1000))
    assert memory.counts.evictions == 0
    assert memory.counts.expirations == 5
    assert all(memory.peek(f"long{i}") and memory.peek(f"new{i}") for i in range(5))


def test_an_expired_entry_is_never_served() -> None:
    memory, clock = store()
    memory.put("k", answer(lasts=10))
    clock.advance(9.999)
    assert memory.get("k")
    clock.advance(0.002)
    assert memory.peek("k") is None
    assert memory.get("k") is None
    assert (len(memory), memory.counts.expirations) == (0, 1)


def test_the_wall_clock_may_jump() -> None:
    """The monotonic clock alone decides."""
    memory, clock = store()
    memory.put("k", answer(lasts=10))
    clock.set_wall(clock.wall() + 1e6)
    assert memory.peek("k")
    clock.set_wall(clock.wall() - 2e6)
    clock.advance(11)
    assert memory.get("k") is None


def test_requested_entries_survive_a_scan() -> None:
    memory, _ = store(entries=100)
    for i in range(50):
        memory.put(f"hot{i}", answer())
        memory.peek(f"hot{i}")
    for i in range(1000):
        memory.put(f"scan{i}", answer())
    assert all(memory.peek(f"hot{i}") for i in range(50))


def test_an_entry_requested_soon_after_its_eviction_is_kept_longer() -> None:
    """A key lately evicted goes to the main queue at once."""
    memory, _ = store(entries=20)
    for i in range(40):
        memory.put(f"k{i}", answer())
    gone = next(f"k{i}" for i in range(40) if memory.peek(f"k{i}") is None)
    memory.put(gone, answer())
    for i in range(100, 118):
        memory.put(f"k{i}", answer())
    assert memory.peek(gone)


def test_removed_entries_do_not_pile_up_in_the_queues() -> None:
    memory, _ = store(entries=1000)
    for i in range(50_000):
        memory.put(f"k{i % 7}", answer())
        memory.delete(f"k{i % 7}")
    assert len(memory._small) + len(memory._main) < 1000
    assert not memory._ticks


def test_a_sweep_costs_no_more_than_the_entries_that_expired() -> None:
    """A year without a call is one step, not a tick each second."""
    memory, clock = store()
    memory.put("k", answer(lasts=10))
    clock.advance(365 * 86400)
    steps = 0

    class Counting(dict):  # type: ignore[type-arg]
        def get(self, *args: object) -> object:
            nonlocal steps
            steps += 1
            return super().get(*args)

    memory._ticks = Counting(memory._ticks)
    memory.put("other", answer())
    assert steps < 10
    assert memory.counts.expirations == 1


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "get", "peek", "delete", "advance", "stop_peeks"]),
        st.integers(0, 12),
        st.integers(0, 3000),
    ),
    max_size=150,
)


@settings(max_examples=300)
@given(OPERATIONS, st.integers(1, 6), st.integers(1000, 8000))
def test_its_books_balance_whatever_happens(
    operations: list[tuple[str, int, int]], entries: int, size: int
) -> None:
    """Counts, weights, queues and ticks agree with the held entries."""
    memory, clock = store(entries=entries, size=size)
    for what, number, amount in operations:
        key = f"k{number}"
        match what:
            case "put":
                memory.put(key, answer(lasts=1 + amount / 100, weight=amount))
            case "get":
                memory.get(key)
            case "peek":
                memory.peek(key)
            case "delete":
                memory.delete(key)
            case "advance":
                clock.advance(amount / 500)
            case "stop_peeks":
                memory.stop_peeks()
        nodes = memory._nodes.values()
        small = [node for node in memory._small if node.place == 0]
        main = [node for node in memory._main if node.place == 1]
        assert memory.bytes == sum(node.weight for node in nodes) <= size
        assert len(nodes) <= entries
        assert sorted(node.key for node in small + main) == sorted(memory._nodes)
        assert memory._small_entries == len(small)
        assert memory._small_bytes == sum(node.weight for node in small)
        assert memory._removed == len(memory._small) + len(memory._main) - len(small) - len(main)
        assert {node for due in memory._ticks.values() for node in due} == set(nodes)
        assert all(memory._ticks[node.due.tick] is node.due for node in nodes)


def zipf(*, accesses: int, keys: int) -> list[int]:
    chooser = random.Random(7)
    weights = [1 / (rank + 1) for rank in range(keys)]
    return chooser.choices(range(keys), weights, k=accesses)


def test_its_hit_ratio_beats_lru() -> None:
    """Measured under Zipf(1.0) with room for a tenth of the keys; bench/cache.py has more peers."""
    trace = zipf(accesses=60_000, keys=5_000)
    memory, _ = store(entries=500)
    lru: OrderedDict[int, None] = OrderedDict()
    ours = theirs = 0
    held = answer()
    for number in trace:
        if memory.peek(str(number)):
            ours += 1
        else:
            memory.put(str(number), held)
        if number in lru:
            theirs += 1
            lru.move_to_end(number)
        else:
            lru[number] = None
            if len(lru) > 500:
                lru.popitem(last=False)
    assert ours / len(trace) > theirs / len(trace) + 0.02


@pytest.mark.parametrize("bounds", [{"entries": 0}, {"size": -1}, {"entries": 1.5}, {"entries": True}])
def test_wrong_bounds_are_an_error(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be a whole number above 0"):
        MemoryBackend(**bounds)


async def test_a_closed_memory_holds_nothing() -> None:
    async with Cache(MemoryBackend(), codec=BYTES) as cache:
        await cache.set("k", b"", POLICY)
    assert cache.stats().entries == 0

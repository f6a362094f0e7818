"""Hit ratios: two traces, and the eviction policies to run on them."""

import heapq
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from theine import Cache as Theine

from bench.report import sized
from finstage_cache.answer import Answer, Status
from finstage_cache.memory import MemoryStore
from finstage_runtime.clock import SYSTEM

ACCESSES = sized(1_000_000, 50_000)
KEYS = sized(100_000, 5_000)
ROOM = KEYS // 10
SCAN_EVERY, SCAN_LENGTH = 5_000, 1_000

Trace = list[int]


def zipf() -> Trace:
    """Return accesses by Zipf(1.0) over `KEYS` keys."""
    shares = 1 / np.arange(1, KEYS + 1)
    cumulated = np.cumsum(shares / shares.sum())
    drawn = np.searchsorted(cumulated, np.random.default_rng(1).random(ACCESSES))
    return [int(key) for key in np.minimum(drawn, KEYS - 1)]


def zipf_with_scans() -> Trace:
    """Return the same trace with a scan of `SCAN_LENGTH` one-time keys after every `SCAN_EVERY` accesses."""
    trace: Trace = []
    fresh = KEYS
    source = zipf()
    for start in range(0, ACCESSES, SCAN_EVERY):
        trace += source[start : start + SCAN_EVERY]
        trace += range(fresh, fresh + SCAN_LENGTH)
        fresh += SCAN_LENGTH
    return trace[:ACCESSES]


def ours(trace: Trace) -> float:
    """Run the memory store of libs/cache."""
    store = MemoryStore(entries=ROOM, size=2**40, clock=SYSTEM)
    answer = Answer(b"", Status.HIT, 0.0, 3600.0, 0.0, 3600.0, 0.0, 0)
    names = _names(trace)
    hits = 0
    for key in trace:
        name = names[key]
        if store.peek(name) is None:
            store.put(name, answer)
        else:
            hits += 1
    return hits / len(trace)


def theine(trace: Trace) -> float:
    """Run theine: W-TinyLFU, in Rust."""
    cache: Theine[str, int] = Theine(ROOM)
    names = _names(trace)
    hits = 0
    for key in trace:
        _, found = cache.get(names[key])
        if found:
            hits += 1
        else:
            cache.set(names[key], key)
    return hits / len(trace)


def lru(trace: Trace) -> float:
    """Run least recently used."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in held:
            held.move_to_end(key)
            hits += 1
        else:
            held[key] = None
            if len(held) > ROOM:
                held.popitem(last=False)
    return hits / len(trace)


def belady(trace: Trace) -> float:
    """Run the optimum, which knows the future: evict the key with the most distant next use."""
    never = len(trace)
    next_use = [never] * len(trace)
    last: dict[int, int] = {}
    for position in range(len(trace) - 1, -1, -1):
        next_use[position] = last.get(trace[position], never)
        last[trace[position]] = position
    held: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    hits = 0
    for position, key in enumerate(trace):
        hits += key in held
        held[key] = next_use[position]
        heapq.heappush(farthest, (-next_use[position], key))
        while len(held) > ROOM:
            use, candidate = heapq.heappop(farthest)
            if held.get(candidate) == -use:
                del held[candidate]
    return hits / len(trace)


POLICIES: dict[str, Callable[[Trace], float]] = {"LRU": lru, "theine": theine, "Belady's optimum": belady}


def _names(trace: Trace) -> list[str]:
    return [f"k{key}" for key in range(max(trace) + 1)]

"""Every backend against a plain model: a dict, a clock, and a second implementation of the rules."""

import asyncio
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from finstage_cache import ABSENT, Absent, Answer, Cache, Loaded, ManualClock, Policy, Status, open_cache
from finstage_cache.tiered import TieredBackend

from .conftest import KINDS
from .waiting import settled

KEYS = st.sampled_from(["a", "b", "{c}", "%d"])
VALUES = st.one_of(st.binary(max_size=3), st.just(ABSENT))
SECONDS = st.sampled_from([0.0, 1.0, 5.0, 20.0])
POLICIES = st.builds(
    Policy,
    fresh_s=st.sampled_from([1.0, 5.0, 20.0]),
    stale_s=SECONDS,
    stale_on_error_s=SECONDS,
    negative_s=st.sampled_from([0.0, 3.0]),
    max_age_s=st.sampled_from([None, None, 0.0, 2.0]),
    retry_s=st.sampled_from([0.0, 2.0]),
    early=st.just(False),
)


class Down(Exception):
    pass


@dataclass
class Kept:
    """The model's entry for a key: fresh_s and lasts_s count from `at`, stale_s from fresh_s."""

    value: bytes | Absent
    at: float
    fresh_s: float
    stale_s: float
    lasts_s: float


class Model(RuleBasedStateMachine):
    """One cache, called sequentially, beside a model of its right answers."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.kept: dict[str, Kept] = {}
        self.failed: dict[str, float] = {}
        self.cache: Cache = self.run(self.opened())

    async def opened(self) -> Cache:
        url = self.url
        if url != "memory://":
            url += f"?prefix={uuid.uuid4().hex}:&timeout_s=10"
        cache = open_cache(url, clock=self.clock)
        if isinstance(cache.backend, TieredBackend):
            await cache.backend.ready()
        return cache

    def run(self, work):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.cache.clear())
        self.run(self.cache.aclose())
        self.loop.close()

    def age(self, key: str) -> float:
        return self.clock.monotonic() - self.kept[key].at

    def keep(self, key: str, value: bytes | Absent, policy: Policy, age: float = 0.0) -> None:
        at = self.clock.monotonic() - age
        if value is ABSENT:
            if policy.negative_s:
                self.kept[key] = Kept(value, at, policy.negative_s, 0.0, policy.negative_s)
            else:
                self.kept.pop(key, None)
        else:
            lasts_s = policy.fresh_s + max(policy.stale_s, policy.stale_on_error_s)
            self.kept[key] = Kept(value, at, policy.fresh_s, policy.stale_s, lasts_s)

    def gone(self, key: str) -> bool:
        return key not in self.kept or self.age(key) >= self.kept[key].lasts_s

    @invariant()
    def expired_entries_are_forgotten(self) -> None:
        for key in [key for key in self.kept if self.gone(key)]:
            del self.kept[key]

    @rule(seconds=st.sampled_from([0.5, 1.5, 4.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(key=KEYS, value=VALUES, policy=POLICIES)
    def set(self, key: str, value: bytes | Absent, policy: Policy) -> None:
        if value is ABSENT and not policy.negative_s:
            with pytest.raises(ValueError, match="negative_s"):
                self.run(self.cache.set(key, value, policy))
            return
        assert self.run(self.cache.set(key, value, policy)) is True
        self.keep(key, value, policy)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        deleted = self.run(self.cache.delete(key))
        if self.kept.pop(key, None) is not None:
            assert deleted
        elif self.url == "memory://":  # Redis has its own clock, and may hold what is expired by ours
            assert not deleted

    @rule(key=KEYS, unless=VALUES)
    def expire(self, key: str, unless: bytes | Absent) -> None:
        kept = self.kept.get(key)
        expired = self.run(self.cache.expire(key, lambda value: value == unless))
        fresh = kept is not None and self.age(key) < kept.fresh_s
        if kept is None or not fresh or (kept.value is not ABSENT and kept.value == unless):
            assert not expired
            return
        assert expired
        kept.fresh_s = self.age(key)
        if kept.value is ABSENT:
            del self.kept[key]

    @rule()
    def clear(self) -> None:
        self.run(self.cache.clear())
        self.kept.clear()

    @rule(keys=st.lists(KEYS, max_size=4, unique=True), stale=st.booleans())
    def get_many(self, keys: list[str], stale: bool) -> None:
        found = self.run(self.cache.get_many(keys, stale=stale))
        expected = {}
        for key in keys:
            if key in self.kept:
                if self.age(key) < self.kept[key].fresh_s:
                    expected[key] = self.as_found(key)
                elif stale:
                    expected[key] = (Status.STALE, self.kept[key].value)
        assert {key: told(answer) for key, answer in found.items()} == expected

    @rule(key=KEYS, value=st.one_of(VALUES, st.just(Down("down"))), policy=POLICIES, age=SECONDS)
    def get_or_load(self, key: str, value: bytes | Absent | Down, policy: Policy, age: float) -> None:
        loads = 0

        async def load() -> Loaded[bytes]:
            nonlocal loads
            loads += 1
            if isinstance(value, Down):
                raise value
            return Loaded(value, stored=self.clock.wall() - age)

        async def call() -> Answer[bytes] | Down:
            try:
                return await self.cache.get_or_load(key, load, policy)
            except Down as error:
                return error
            finally:
                await settled(self.cache)

        outcome = self.run(call())
        expected, loaded = self.expected(key, value, policy)
        assert loads == loaded
        assert (Down if isinstance(outcome, Down) else told(outcome)) == expected
        if loaded:
            if isinstance(value, Down):
                self.failed[key] = self.clock.monotonic()
            else:
                self.failed.pop(key, None)
                self.keep(key, value, policy, age)

    def expected(self, key: str, value: bytes | Absent | Down, policy: Policy) -> tuple[object, int]:
        """Return the right answer of the call, and its number of loads."""
        fallback = False
        if key in self.kept:
            kept, age = self.kept[key], self.age(key)
            too_old = policy.max_age_s is not None and age >= policy.max_age_s
            resting = key in self.failed and self.clock.monotonic() < self.failed[key] + policy.retry_s
            if age < kept.fresh_s and not too_old:
                return self.as_found(key), 0
            if not too_old and age < kept.fresh_s + min(kept.stale_s, policy.stale_s):
                return (Status.STALE, kept.value), 0 if resting else 1
            fallback = age < min(kept.lasts_s, kept.fresh_s + policy.stale_on_error_s)
            if fallback and resting:
                return (Status.STALE, kept.value), 0
        if isinstance(value, Down):
            return ((Status.STALE, self.kept[key].value) if fallback else Down), 1
        return (Status.NEGATIVE if value is ABSENT else Status.MISS, value), 1

    def as_found(self, key: str) -> tuple[Status, bytes | Absent]:
        value = self.kept[key].value
        return (Status.NEGATIVE if value is ABSENT else Status.HIT, value)


def told(answer: Answer[bytes]) -> tuple[Status, bytes | Absent]:
    return (answer.status, ABSENT if answer.absent else answer.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_backend_behaves_as_the_model(kind: str, request: pytest.FixtureRequest) -> None:
    class OfKind(Model):
        url = "memory://"

    if kind != "memory":
        server = request.getfixturevalue("cluster_url" if kind.endswith("cluster") else "redis_url")
        OfKind.url = f"{kind}:{server.partition(':')[2]}"
    examples = 150 if kind == "memory" else 30
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        OfKind,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=checks
        ),
    )

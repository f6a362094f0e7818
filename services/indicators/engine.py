"""The engine: where a computation runs, and which results are kept."""

from collections.abc import Sequence
from typing import cast

from finstage_cache import Cache, Policy, keys
from finstage_cache.arrays import ARRAYS, Arrays
from finstage_market.columns import Float64s
from finstage_runtime.executor import BoundedExecutor
from services.indicators.anchors import is_tame
from services.indicators.compute import compute
from services.indicators.inputs import Inputs
from services.indicators.specs import Spec

# A spec's steps are bars · (STEPS_A_BAR + lookback): about a nanosecond each for the functions that go over
# their window again at each bar (AVGDEV, CCI, PERCENTILE), far less for most, which keep running sums, and
# six for the slowest (HT_TRENDMODE and its kin).
STEPS_A_BAR = 20
# A series with absurd values may be computed in as many parts as it has windows.
STEPS_A_PART = 20_000
INLINE_STEPS = 2_000_000
"""What one request may compute on the event loop: a fraction of a millisecond as a rule, 12 ms at worst."""

Outputs = tuple[Float64s, ...]


class Engine:
    """Computes specs: short ones at once, long ones one after the other in `executor`.

    A long one's result is kept in `cache` for `fresh_s`, and computed once for all who ask at the same time.
    """

    def __init__(self, cache: Cache, executor: BoundedExecutor, *, fresh_s: float) -> None:
        self._cache = cache
        self._executor = executor
        self._policy = Policy(fresh_s=fresh_s, early=False)

    async def compute(
        self, inputs: Inputs, specs: Sequence[Spec], *, identity: tuple[object, ...] | None
    ) -> list[Outputs]:
        """Return the outputs of each spec, as `compute.compute`.

        identity: what the bars are, the same only for equal bars; None: a client's own, which are kept
        nowhere.

        Raises:
            RateLimited: too much waits for the executor already.
        """
        left = INLINE_STEPS
        results = []
        for spec in specs:
            steps = _steps(inputs, spec)
            if steps <= left:
                left -= steps
                results.append(compute(inputs, spec))
            elif identity is None:
                results.append(await self._executor.run(compute, inputs, spec))
            else:
                results.append(await self._kept(inputs, spec, identity))
        return results

    async def _kept(self, inputs: Inputs, spec: Spec, identity: tuple[object, ...]) -> Outputs:
        async def load() -> Arrays:
            return Arrays(b"", await self._executor.run(compute, inputs, spec))

        key = keys.key(
            "indicators",
            identity,
            spec.indicator.name,
            spec.variant.name,
            spec.source,
            spec.params,
            version=2,
        )
        answer = await self._cache.get_or_load(key, load, self._policy, codec=ARRAYS)
        return cast("Outputs", answer.value.arrays)


def _steps(inputs: Inputs, spec: Spec) -> int:
    bars, lookback = len(inputs), max(spec.lookbacks)
    steps = bars * (STEPS_A_BAR + min(lookback, bars))
    if spec.params and spec.is_anchored and not is_tame(inputs, spec.columns):
        steps += bars // (lookback + 1) * STEPS_A_PART
    return steps

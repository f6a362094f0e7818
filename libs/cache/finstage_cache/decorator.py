"""The decorator that `Cache.cached` returns: it caches a function's results."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from . import keys
from .answer import ABSENT, Answer
from .codecs import Codec
from .policy import Policy

if TYPE_CHECKING:
    from .api import Cache

P = ParamSpec("P")
T = TypeVar("T")


class CachedFunction(Generic[P, T]):
    """An async function whose results are cached by its arguments."""

    def __init__(self, function: Callable[P, Any], options: "Cached") -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options
        self._signature = inspect.signature(function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result for these arguments, which may be ABSENT."""
        answer: Answer[Any] = await self.answer(*args, **kwargs)
        return ABSENT if answer.absent else answer.value  # type: ignore[return-value]

    async def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """The result with its status and times."""
        options = self._options
        loader: Any = functools.partial(self._function, *args, **kwargs)
        return await options.cache.get_or_load(
            self.key_for(*args, **kwargs), loader, options.policy, codec=options.codec
        )

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key for these arguments, for `delete` and `expire`."""
        options = self._options
        if options.key is not None:
            return keys.key(options.name, options.key(*args, **kwargs), version=options.version)
        return keys.call_key(options.name, self._signature, args, kwargs, version=options.version)


class Cached:
    """The decorator with its options, for functions, async or not, and for bound methods."""

    def __init__(
        self,
        cache: "Cache",
        name: str,
        policy: Policy,
        *,
        key: Callable[..., Any] | None,
        version: int,
        codec: Codec[Any] | None,
    ) -> None:
        keys.key(name, version=version)  # raise for a wrong name here, not at the first call
        self.cache = cache
        self.name = name
        self.policy = policy
        self.key = key
        self.version = version
        self.codec = codec

    @overload
    def __call__(self, function: Callable[P, Awaitable[T]]) -> CachedFunction[P, T]: ...

    @overload
    def __call__(self, function: Callable[P, T]) -> CachedFunction[P, T]: ...

    def __call__(self, function: Callable[P, Any]) -> CachedFunction[P, Any]:
        return CachedFunction(function, self)

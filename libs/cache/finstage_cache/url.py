"""Backends by URL.

memory://?entries=10000&size=67108864
redis://[user:password@]host[:port]/db?prefix=cache:&timeout_s=0.25&retry_s=1&claim_s=5&connections=32&entry_size=4194304
rediss://...                      the same over TLS
redis+cluster://..., rediss+cluster://...
memory+redis://..., memory+rediss://..., memory+redis+cluster://...      memory over Redis: all options
null://

The key in Redis is made of the prefix, the name of the cache, ":", and the key.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from finstage_runtime.clock import SYSTEM, Clock

from .api import NAME, Cache
from .backend import Backend
from .memory import MemoryBackend
from .null import NullBackend

_MEMORY: Mapping[str, Callable[[str], Any]] = {"entries": int, "size": int}
_REDIS: Mapping[str, Callable[[str], Any]] = {
    "prefix": str,
    "timeout_s": float,
    "retry_s": float,
    "claim_s": float,
    "connections": int,
    "entry_size": int,
}
_TIERED: Mapping[str, Callable[[str], Any]] = {"lag_s": float}
_NAMES = "memory, null, redis, rediss, redis+cluster, rediss+cluster, and memory+ before one of the last four"


def open_cache(url: str, *, name: str = NAME, clock: Clock = SYSTEM, **options: Any) -> Cache:
    """A `Cache` over `backend_from_url`, to use with `async with`. Caches of different names share nothing,
    even at one URL.

    options: those of `Cache`.
    """
    return Cache(backend_from_url(url, name=name, clock=clock), name=name, clock=clock, **options)


def check_url(url: str) -> str:
    """Return the URL if it is valid, for settings that are checked on reading; raise as backend_from_url."""
    backend_from_url(url)  # connects to nothing
    return url


def backend_from_url(url: str, *, name: str = NAME, clock: Clock = SYSTEM) -> Backend:
    """The backend at a URL for the cache `name`. Connects to nothing.

    Raises:
        ValueError: an unknown scheme, option or value.
        ModuleNotFoundError: redis-py is needed and not installed.
    """
    parts = urlsplit(url)
    kinds = parts.scheme.split("+")
    memory = kinds[:1] == ["memory"]
    rest = kinds[1:] if memory else kinds
    if parts.scheme == "null":
        _options(parts.query, {})
        return NullBackend()
    if memory and not rest:
        if parts.netloc or parts.path.strip("/"):
            raise ValueError(f"a memory:// cache URL takes only options, not {parts.netloc or parts.path!r}")
        return MemoryBackend(**_options(parts.query, _MEMORY), clock=clock)
    if rest[0] not in ("redis", "rediss") or rest[1:] not in ([], ["cluster"]):
        raise ValueError(f"a cache URL's scheme must be one of {_NAMES}, not {parts.scheme!r}")
    if not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(f"a Redis URL's path must be a database number, not {parts.path!r}")
    url = urlunsplit((rest[0], parts.netloc, parts.path, "", ""))
    return _redis(url, parts.query, name=name, memory=memory, cluster=len(rest) > 1, clock=clock)


def _redis(url: str, query: str, *, name: str, memory: bool, cluster: bool, clock: Clock) -> Backend:
    try:
        from .redis import PREFIX, RedisBackend, connect
    except ModuleNotFoundError as missing:
        hint = "a cache in Redis needs redis-py: pip install 'finstage-cache[redis]'"
        raise ModuleNotFoundError(hint, name=missing.name) from missing
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"the name of a cache in Redis must be letters, digits and _ . -, not {name!r}")
    options = _options(query, {**_REDIS, **_MEMORY, **_TIERED} if memory else _REDIS)
    redis_options = {option: options[option] for option in _REDIS if option in options}
    redis_options["prefix"] = f"{options.get('prefix', PREFIX)}{name}:"
    connections = {option: options[option] for option in ("connections",) if option in options}
    remote = RedisBackend(connect(url, cluster=cluster, **connections), **redis_options, clock=clock)
    if not memory:
        return remote
    from .tiered import TieredBackend

    tier_options = {option: value for option, value in options.items() if option not in _REDIS}
    return TieredBackend(remote, **tier_options, clock=clock)


def _options(query: str, accepted: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    options = {}
    names = ", ".join(accepted) or "none"
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in accepted:
            raise ValueError(f"the cache URL's option {name!r} is unknown; accepted here: {names}")
        try:
            options[name] = accepted[name](text)
        except ValueError:
            kind = {int: "a whole number", float: "a number"}[accepted[name]]  # type: ignore[index]
            raise ValueError(f"the cache URL's option {name} must be {kind}, not {text!r}") from None
    return options

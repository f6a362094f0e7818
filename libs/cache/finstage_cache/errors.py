"""The errors of this library. A loader's own errors pass through unchanged."""


class CacheError(Exception):
    """Base of every error of this library."""


class Unavailable(CacheError):
    """A backend did not answer in time. `Cache` counts it as a miss; only a backend's user sees this."""


class CodecError(CacheError):
    """The codec cannot hold a value, or cannot read the bytes."""


class KeyPartError(CacheError, TypeError):
    """A key part has no canonical form."""


class ValueAbsent(CacheError, LookupError):
    """`Answer.value` was read from an answer that no value exists."""


class LoadTimeout(CacheError, TimeoutError):
    """A load, or the wait for another process's load, took longer than `Policy.load_timeout_s`; or it goes on
    for longer than this call waits."""


class LoadCancelled(CacheError):
    """The loader cancelled itself, or the cache was closed while it ran."""

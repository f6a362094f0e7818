"""What this library raises. What a loader raises passes through unchanged."""


class CacheError(Exception):
    """Base of every error of this library."""


class Unavailable(CacheError):
    """A backend did not answer in its time. `Cache` turns it into a counted miss; only a backend's user
    sees it."""


class CodecError(CacheError):
    """A value that the codec cannot hold, or bytes that it cannot read."""


class KeyPartError(CacheError, TypeError):
    """A key part without a canonical form."""


class ValueAbsent(CacheError, LookupError):
    """`Answer.value` of an answer whose loader said that there is nothing."""


class LoadTimeout(CacheError, TimeoutError):
    """A load, or the wait for another process's load, took longer than `Policy.load_timeout_s`."""


class LoadCancelled(CacheError):
    """The loader cancelled itself, or the cache was closed while it ran."""

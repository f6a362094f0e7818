"""A cache for asyncio services: one load per key, stale answers, memory and Redis. See README.md."""

from finstage_runtime.clock import Clock, ManualClock, SystemClock

from . import keys
from .answer import ABSENT, Absent, Answer, Loaded, Status
from .api import Cache
from .backend import Backend
from .codecs import BYTES, JSON, Codec, live, protobuf
from .errors import (
    CacheError,
    CodecError,
    KeyPartError,
    LoadCancelled,
    LoadTimeout,
    Unavailable,
    ValueAbsent,
)
from .lookups import Batch
from .memory import MemoryBackend
from .null import NullBackend
from .policy import Policy
from .stats import Stats
from .url import backend_from_url, check_url, open_cache

__all__ = [
    "Cache",
    "open_cache",
    "Policy",
    "Answer",
    "Status",
    "ABSENT",
    "Absent",
    "Loaded",
    "Batch",
    "Stats",
    "keys",
    "Codec",
    "BYTES",
    "JSON",
    "protobuf",
    "live",
    "Backend",
    "backend_from_url",
    "check_url",
    "MemoryBackend",
    "NullBackend",
    "Clock",
    "SystemClock",
    "ManualClock",
    "CacheError",
    "CodecError",
    "KeyPartError",
    "LoadCancelled",
    "LoadTimeout",
    "Unavailable",
    "ValueAbsent",
]

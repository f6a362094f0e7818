"""The backend that holds nothing: every call loads, still one load per key at a time."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .answer import Answer, Held
from .backend import BackendCounts, Size
from .codecs import Codec


class NullBackend:
    """A `Backend` that holds nothing."""

    locks = None
    put = None

    def __init__(self) -> None:
        self.counts = BackendCounts()

    def peek(self, key: str) -> Answer[Any] | None:
        return None

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]:
        return {}

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        return 0

    async def delete_many(self, keys: Iterable[str]) -> int:
        return 0

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        return False

    async def clear(self) -> None:
        pass

    def size(self) -> Size:
        return Size(0, 0)

    async def aclose(self) -> None:
        pass

"""Replies, and how they are delivered."""

from dataclasses import dataclass
from typing import Any

import orjson

JSON_TYPE = "application/json;charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """An HTTP reply. The fields after `headers` are for faults in its delivery."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0  # before the first byte
    slow_s: float = 0.0  # the time over which the body trickles out
    sent: int | None = None  # bytes of the body before the connection ends; Content-Length stays the whole
    reset: bool = False  # end the connection with a reset; before the first byte when `sent` is None


def json_reply(data: Any, *, status: int = 200) -> Reply:
    """Return a reply with `data` as JSON; NumPy columns are allowed, NaN becomes null."""
    return Reply(status, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS))

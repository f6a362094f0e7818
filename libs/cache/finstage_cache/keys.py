"""Keys: canonical, versioned, the same in every process and Python version.

    key("price", "quote", "BRK.B")             -> "price:v1:quote:BRK.B"
    key("price", "bars", "AAPL", 250, start)   -> "price:v1:bars:AAPL:~i250:~t2024-01-02T00:00:00+00:00"

A str is kept, percent-encoded outside `A-Z a-z 0-9 - _ . = ^ @`. Every other type starts with "~" and a type
letter, so that different arguments never share a key. A key longer than `MAX_LENGTH` keeps its namespace and
ends in a BLAKE2b digest.
"""

import hashlib
import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import quote
from uuid import UUID

from .errors import KeyPartError

MAX_LENGTH = 200
"""The length of the longest key, in characters (all ASCII)."""

ACCEPTED = (
    "str, bytes, bool, int, float, Decimal, None, aware datetime, date, timedelta, UUID, Enum members, "
    "and sequences, sets and mappings of these"
)

_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")


def key(namespace: str, *parts: Any, version: int = 1) -> str:
    """The key of `parts` in `namespace` (lower case letters, digits, `_ . -`).

    version: the schema version of the value. Raise it when the value's meaning changes: old entries become
        misses.

    Raises:
        KeyPartError: a part has no canonical form.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(
            f"a key's namespace must be up to 80 lower case letters, digits and _ . -, not {namespace!r}"
        )
    if not 1 <= version <= 9999:
        raise ValueError(f"a key's version must be from 1 to 9999, not {version!r}")
    head = f"{namespace}:v{version}"
    whole = ":".join([head, *map(canonical, parts)])
    if len(whole) <= MAX_LENGTH:
        return whole
    return f"{head}:~#{hashlib.blake2b(whole.encode(), digest_size=20).hexdigest()}"


def call_key(
    namespace: str,
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    version: int = 1,
) -> str:
    """The key of a call, the same for its positional, keyword and default forms."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return key(namespace, *bound.arguments.values(), version=version)


def canonical(part: Any) -> str:
    """The canonical text of a key part; different parts have different texts. Raises KeyPartError."""
    # Subclasses come before their bases: Enum (often also str or int), bool before int, datetime before date.
    match part:
        case Enum():
            return f"~e{type(part).__qualname__}.{part.name}"
        case str():
            return quote(part, safe="=^@", errors="surrogatepass").replace("~", "%7E")
        case None:
            return "~n"
        case bool():
            return "~b1" if part else "~b0"
        case int():
            return f"~i{int(part)}"
        case float():
            if math.isnan(part):
                raise KeyPartError("NaN has no canonical form as a key part: NaN does not equal itself")
            return f"~f{float.__repr__(part)}"
        case bytes():
            return f"~x{part.hex()}"
        case Decimal():
            if not part.is_finite():
                raise KeyPartError(f"{part!r} has no canonical form as a key part: it is not finite")
            return f"~d{_decimal(part)}"
        case datetime():
            if part.utcoffset() is None:
                raise KeyPartError(f"{part!r} has no canonical form as a key part: it has no time zone")
            return f"~t{part.astimezone(UTC).isoformat()}"
        case date():
            return f"~a{part.isoformat()}"
        case timedelta():
            return f"~l{part // timedelta(microseconds=1)}"
        case UUID():
            return f"~u{part}"
        case Mapping():
            items = sorted((canonical(k), canonical(v)) for k, v in part.items())
            return "~m{}".format("".join(f"({k},{v})" for k, v in items))
        case Set():
            return _listed("~s", sorted(map(canonical, part)))
        case list() | tuple():
            return _listed("~q", map(canonical, part))
        case _:
            what = f"{type(part).__name__} {part!r:.80}"
            raise KeyPartError(f"{what} has no canonical form as a key part; accepted: {ACCEPTED}")


def _listed(kind: str, texts: Iterable[str]) -> str:
    """The text of a collection. A list of one empty text must differ from an empty list."""
    listed = list(texts)
    return f"{kind}({','.join(listed)})" if listed else kind


def _decimal(number: Decimal) -> str:
    """One text for equal numbers, without trailing zeros. (`normalize` would round to the context.)"""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    if not kept:
        return "0"
    return f"{'-' if sign else ''}{kept}e{int(exponent) + len(text) - len(kept)}"

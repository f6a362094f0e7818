"""API keys: who may call."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from finstage_market.errors import Reason, Unauthenticated

HEADER = "authorization"
_LINE = re.compile(r"(?P<name>[\w.@-]+)\s+(?P<key>\S+)")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")


class ApiKeys:
    """The keys that open this server, known by their SHA-256 alone.

    Looking a hash up takes a time that says nothing of the keys: who guesses cannot choose hashes.
    """

    def __init__(self, names: dict[bytes, str]) -> None:
        self._names = names

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """The keys of a file: a line "NAME KEY" each, KEY the key itself or "sha256:" and its hash in hex.

        Empty lines and those that begin with # do not count.

        Raises:
            ValueError: a line is none, a key or name comes twice, or there is no key at all.
            OSError: the file cannot be read.
        """
        names: dict[bytes, str] = {}
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if found is None:
                raise ValueError(f"line {number} is not NAME KEY")
            key, name = found["key"], found["name"]
            hashed = _HASH.fullmatch(key)
            digest = bytes.fromhex(hashed[1]) if hashed else _digest(key)
            if digest in names or name in names.values():
                raise ValueError(f"line {number} repeats a name or a key")
            names[digest] = name
        if not names:
            raise ValueError("there is no key in it")
        return cls(names)

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """The name of the caller whose key is in `metadata`, as "authorization: Bearer KEY".

        Raises:
            Unauthenticated: there is none, or it is not known.
        """
        for header, value in metadata:
            if header == HEADER and isinstance(value, str):
                scheme, _, key = value.partition(" ")
                name = self._names.get(_digest(key.strip())) if scheme.lower() == "bearer" else None
                if name is None:
                    raise Unauthenticated(Reason.UNAUTHENTICATED, "the API key is not known")
                return name
        raise Unauthenticated(
            Reason.UNAUTHENTICATED, "this server wants an API key: metadata authorization: Bearer KEY"
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

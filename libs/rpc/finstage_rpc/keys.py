"""API keys: the callers that a server accepts."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from finstage_market.errors import Reason, Unauthenticated

HEADER = "authorization"
_LINE = re.compile(r"(?P<name>[\w.@-]+)\s+(?P<key>\S+)")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")


class ApiKeys:
    """The accepted keys, held as SHA-256 digests.

    How long a lookup takes tells an attacker nothing about the keys, because nobody can choose a digest.
    """

    def __init__(self, names: dict[bytes, str]) -> None:
        self._names = names

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """Read a file of lines "NAME KEY"; KEY is the key, or "sha256:" and its digest in hex.

        Empty lines, and lines that begin with #, are skipped.

        Raises:
            ValueError: a line has another form, a name or key is there twice, or the file has no key.
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
            raise ValueError("it has no key")
        return cls(names)

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """Return the name of the key in `metadata`, which has it as "authorization: Bearer KEY".

        Raises:
            Unauthenticated: there is no key, or an unknown one.
        """
        for header, value in metadata:
            if header == HEADER and isinstance(value, str):
                scheme, _, key = value.partition(" ")
                name = self._names.get(_digest(key.strip())) if scheme.lower() == "bearer" else None
                if name is None:
                    raise Unauthenticated(Reason.UNAUTHENTICATED, "the API key is not known")
                return name
        raise Unauthenticated(
            Reason.UNAUTHENTICATED, "this server needs an API key: metadata authorization: Bearer KEY"
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

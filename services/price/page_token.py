"""PageToken: where the next page of a range begins, and what it belongs to."""

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

_LAYOUT = struct.Struct("<qqqqI")


@dataclass(frozen=True, slots=True)
class PageToken:
    """
    epoch: the series' epoch when the first page was read.
    next_ms: the open time of the next page's first bar.
    last_ms: the open time of the range's last bar.
    total: how many bars the range has.
    request: a digest of the request.
    """

    epoch: int
    next_ms: int
    last_ms: int
    total: int
    request: int

    def encode(self) -> str:
        """Return the token as text that is safe in a URL or a shell."""
        packed = _LAYOUT.pack(self.epoch, self.next_ms, self.last_ms, self.total, self.request)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "PageToken":
        """Return the token that a text encodes.

        Raises:
            ValueError: this service did not make it.
        """
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return cls(*_LAYOUT.unpack(raw))
        except (binascii.Error, struct.error, ValueError):
            raise ValueError("is not a next_page_token of this service") from None


def request_digest(*parts: object) -> int:
    """Return a digest of the fields that all pages of a range have in common."""
    return zlib.crc32(repr(parts).encode())

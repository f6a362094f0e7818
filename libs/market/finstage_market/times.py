"""Times: the contract's Timestamp and the milliseconds of columns."""

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(ms: int) -> Timestamp:
    """Return the Timestamp for milliseconds since 1970-01-01T00:00:00Z."""
    out = Timestamp()
    out.FromMilliseconds(ms)
    return out


def milliseconds(time: Timestamp) -> int:
    """Return the milliseconds since 1970-01-01T00:00:00Z of a Timestamp."""
    return time.ToMilliseconds()

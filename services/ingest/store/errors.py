"""Errors that several parts of the store raise."""

from collections.abc import Mapping

from finstage_market.errors import AlreadyExists, Reason, Unavailable

RETRY_AFTER_S = 1.0


class LeaseLost(Exception):
    """Another worker has the chunk, or its job was cancelled; nothing was written."""


def unavailable(why: str) -> Unavailable:
    """Make the error for a database that cannot be used now."""
    return Unavailable(
        Reason.SERVICE_UNAVAILABLE,
        f"the database does not answer: {why.strip()}",
        retry_after_s=RETRY_AFTER_S,
    )


def key_reused(
    resource_type: str, name: str, how: str, metadata: Mapping[str, str] | None = None
) -> AlreadyExists:
    """Make the error for a client's key that was used before with other content."""
    message = f"{resource_type} {name} {how}"
    return AlreadyExists(
        Reason.KEY_REUSED, message, resource_type=resource_type, resource_name=name, metadata=metadata
    )

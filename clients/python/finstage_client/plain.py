"""Values as JSON has them, and back: what a DataFrame keeps in its attrs, and what the command prints."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from finstage_client.values import FrameInfo, SeriesInfo
from finstage_market.errors import FinstageError, InvalidRequest, Reason
from finstage_market.statuses import from_status, to_status

if TYPE_CHECKING:
    import pandas as pd

V = TypeVar("V")


def info(frame: "pd.DataFrame") -> SeriesInfo | FrameInfo:
    """Return what is known of a DataFrame of bars (SeriesInfo) or of indicators (FrameInfo), from its attrs.

    Raises:
        ValueError: the frame is not one of the client's, or lost its attrs (pandas drops them, for example
            when it joins frames of two series).
    """
    kind: type[SeriesInfo | FrameInfo] = FrameInfo if "results" in frame.attrs else SeriesInfo
    if missing := [field.name for field in dataclasses.fields(kind) if field.name not in frame.attrs]:
        raise ValueError(
            f"the frame's attrs have no {', '.join(missing)}: it is not as the client returned it"
        )
    return restored(kind, frame.attrs)


def plain(value: Any) -> Any:
    """Return `value` as JSON has it: dataclasses as objects, times in ISO 8601, an error with its reason."""
    if isinstance(value, FinstageError):
        return _plain_error(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, str) else value


def _plain_error(error: FinstageError) -> dict[str, Any]:
    found: dict[str, Any] = {"reason": error.reason.value, "message": error.message}
    if error.metadata:
        found["metadata"] = error.metadata
    if isinstance(error, InvalidRequest):
        found["violations"] = plain(error.violations)
    return found


def restored(kind: type[V], data: Mapping[Any, Any]) -> V:
    """Return the dataclass `kind` whose plain form is `data`."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _restored(hint, data[name]) for name, hint in hints.items()})


def _restored(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if typing.get_origin(hint) is tuple:
        return tuple(_restored(typing.get_args(hint)[0], each) for each in value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    if dataclasses.is_dataclass(hint):
        return restored(typing.cast("type[Any]", hint), value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is FinstageError:
        # The class of an error follows from its reason.
        error = FinstageError(Reason(value["reason"]), value["message"], metadata=value.get("metadata"))
        return from_status(to_status(error))
    return value

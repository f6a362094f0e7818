"""The client's values are the contract's messages, field for field."""

import dataclasses
import inspect

import pytest
from google.protobuf import descriptor_pool

from finstage_client import values

KINDS = [each for _, each in inspect.getmembers(values, dataclasses.is_dataclass)]
# What a DataFrame holds instead.
IN_THE_FRAME = {"SeriesInfo": {"columns"}, "FrameInfo": {"open_time_ms"}, "IndicatorResult": {"outputs"}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_value_has_every_field_of_its_message(kind: type) -> None:
    name, *_ = str(kind.__doc__).split()
    message = descriptor_pool.Default().FindMessageTypeByName(name.rstrip(".:;"))
    sent = {field.name for field in message.fields} - IN_THE_FRAME.get(kind.__name__, set())
    assert {field.name for field in dataclasses.fields(kind)} == sent

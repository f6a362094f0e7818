"""DataFrames go where their owners take them: files, other processes, other frames."""

import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from finstage_client import Client, FrameInfo, PreconditionFailed, Reason, SeriesInfo, info


@pytest.fixture
def frames(services: Any) -> list[pd.DataFrame]:
    with Client(**services.targets) as client:
        return [client.bars("AAPL"), client.compute("AAPL", ["ma", "long"])]


def test_a_frame_survives_parquet_pickle_and_concat_with_all_that_is_known_of_it(
    frames: list[pd.DataFrame], tmp_path: Path
) -> None:
    for frame, kind in zip(frames, (SeriesInfo, FrameInfo), strict=True):
        known = info(frame)
        assert isinstance(known, kind)
        frame.to_parquet(tmp_path / "frame.parquet")
        copies = [
            pd.read_parquet(tmp_path / "frame.parquet"),
            pickle.loads(pickle.dumps(frame)),
            pd.concat([frame.iloc[:2], frame.iloc[2:]]),
            frame.copy(),
        ]
        for copy in copies:
            pd.testing.assert_frame_equal(copy, frame)
            assert copy.attrs == frame.attrs
            assert (info(copy).version, info(copy).coverage) == (known.version, known.coverage)


def test_attrs_are_json(frames: list[pd.DataFrame]) -> None:
    for frame in frames:
        assert json.loads(json.dumps(frame.attrs, allow_nan=False)) == frame.attrs


def test_the_error_of_an_indicator_keeps_its_class_and_reason(frames: list[pd.DataFrame]) -> None:
    known = info(frames[1])
    assert isinstance(known, FrameInfo)
    status = known.results[1].status
    assert isinstance(status, PreconditionFailed)
    assert (status.reason, status.message) == (Reason.TOO_FEW_BARS, "4 bars, and 9 are needed")
    assert known.results[0].status is None


def test_a_frame_of_someone_else_is_refused() -> None:
    with pytest.raises(ValueError, match="attrs have no symbol"):
        info(pd.DataFrame({"close": [1.0]}))

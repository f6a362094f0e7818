"""CSV files from text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import finstage_barfile as barfile
from finstage_barfile import BarFile
from finstage_market.interval import Interval

ReadText = Callable[..., BarFile]


@pytest.fixture
def read_text(tmp_path: Path) -> ReadText:
    """Read text as barfile.read() reads a file; a zone is given by its name."""

    def read(content: str, *, interval: str | None = "1d", zone: str = "", **how: Any) -> BarFile:
        path = tmp_path / "bars.csv"
        path.write_text(content)
        is_without = "vol" not in content.lower()
        how = {"time_zone": barfile.zone_of(zone) if zone else None, "no_volume": is_without} | how
        return barfile.read(path, interval=Interval(interval) if interval else None, **how)

    return read


def opened(bars: BarFile) -> list[str]:
    """Return the open times, without seconds."""
    return [f"{pd.Timestamp(ms, unit='ms'):%Y-%m-%d %H:%M}" for ms in bars.columns.open_time_ms]

"""How much code answers a quote that is held."""

import sys
from pathlib import Path
from types import FrameType

from tests.price.conftest import Price

REPO = Path(__file__).resolve().parents[2]
MAX_FILES = 10


async def test_a_quote_that_is_held_is_answered_by_ten_files(price: Price) -> None:
    """One more file on this path is one more that everybody reads who follows a quote."""
    await price.quote()
    walked: set[Path] = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        file = Path(frame.f_code.co_filename)
        # The client's side of the call runs here too: the channel, and this test.
        if file.is_relative_to(REPO) and file.name != "channel.py" and "tests" not in file.parts:
            walked.add(file.relative_to(REPO))

    sys.setprofile(note)
    try:
        await price.quote()
    finally:
        sys.setprofile(None)
    walked = {file for file in walked if file.parts[0] in ("libs", "services")}
    assert len(walked) <= MAX_FILES, sorted(map(str, walked))

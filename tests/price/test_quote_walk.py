"""How much code answers a quote that is held."""

import sys
from pathlib import Path
from types import FrameType

from finstage.price.v1 import price_service_pb2 as pb
from tests.price.conftest import Price

REPO = Path(__file__).resolve().parents[2]
MAX_FILES = 10


async def test_a_quote_that_is_held_is_answered_by_ten_files(price: Price) -> None:
    """One more file on this path is one more that everybody reads who follows a quote."""
    # Through gRPC's own channel: Finstage's would be walked too.
    ask = price.channel.grpc.unary_unary("/finstage.price.v1.PriceService/GetQuote")
    request = pb.GetQuoteRequest(symbol="A").SerializeToString()
    await ask(request)
    walked: set[Path] = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        file = Path(frame.f_code.co_filename)
        # The clock of tests is code of ours, the machine's is not.
        if file.is_relative_to(REPO) and file.name != "clock.py":
            walked.add(file.relative_to(REPO))

    sys.setprofile(note)
    try:
        await ask(request)
    finally:
        sys.setprofile(None)
    walked = {file for file in walked if file.parts[0] in ("libs", "services")}
    assert len(walked) <= MAX_FILES, sorted(map(str, walked))

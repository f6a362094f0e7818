"""The number of files that answer a cached quote."""

import sys
from pathlib import Path
from types import FrameType

from finstage.price.v1 import price_service_pb2 as pb
from tests.price.conftest import Price

REPO = Path(__file__).resolve().parents[2]
MAX_FILES = 10


async def test_at_most_ten_files_answer_a_cached_quote(price: Price) -> None:
    """Whoever follows a quote through the code reads each of these files, and generated messages."""
    # gRPC's own channel: Finstage's would add files of its own.
    ask = price.channel.grpc.unary_unary("/finstage.price.v1.PriceService/GetQuote")
    request = pb.GetQuoteRequest(symbol="A").SerializeToString()
    await ask(request)
    walked: set[Path] = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        file = Path(frame.f_code.co_filename)
        # The machine's clock: the tests' clock would add a file of its own.
        if file.is_relative_to(REPO) and file.name != "clock.py":
            walked.add(file.relative_to(REPO))

    sys.setprofile(note)
    try:
        await ask(request)
    finally:
        sys.setprofile(None)
    walked = {file for file in walked if file.parts[0] in ("libs", "services")}
    assert len(walked) <= MAX_FILES, sorted(map(str, walked))

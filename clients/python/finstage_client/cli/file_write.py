"""The write of one file: what names it among all writes, so that it is done once, or continued."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from finstage_barfile import BarFile
from finstage_client.sync import Client
from finstage_client.upload import BATCH_ROWS, Upload, WriteProgress
from finstage_market.errors import AlreadyExists
from finstage_market.interval import Interval

# As long as a source may be, with what stands before the name.
_LONGEST_NAME = 128 - len("file:")


@dataclass(slots=True)
class FileWrite:
    """Writes the bars of a file to a series.

    source: who sends: the file, by the name under which it came first.
    again: whether to write it anew where its content was written before.
    """

    path: Path
    bars: BarFile
    symbol: str
    interval: Interval
    mode: str
    again: bool
    source: str = field(init=False)
    _upload: Upload = field(init=False)

    def __post_init__(self) -> None:
        self.source = source_of(self.path)
        self._upload = self._new_upload()

    @property
    def progress(self) -> WriteProgress:
        return self._upload.progress

    def run(self, client: Client, progress: Callable[[WriteProgress], None]) -> None:
        """Carries it out.

        Raises:
            FinstageError: as Client.write() does; `progress` says what was done until then.
        """
        try:
            client.write(self._upload, progress)
        except AlreadyExists as error:
            # The same content goes by the name that it had when it was first sent.
            source = error.metadata.get("source", "")
            if not source.startswith("file:") or source == self.source:
                raise
            self.source = source
            self._upload = self._new_upload()
            client.write(self._upload, progress)

    def _new_upload(self) -> Upload:
        return Upload(
            self.bars.columns,
            symbol=self.symbol,
            interval=self.interval,
            source=self.source,
            idempotency_key=self._key() + (f":{uuid4().hex}" if self.again else ""),
            mode=self.mode,
            adjusted_close=self.bars.adjusted_close,
        )

    def _key(self) -> str:
        """The same for the same content, written the same way, whatever the file's name."""
        bars = self.bars
        read_as = [sorted(bars.mapping.items()), bars.times, bars.decimal, bars.ticker]
        how = [self.symbol, self.interval, read_as, BATCH_ROWS, self.mode]
        digest = hashlib.sha256(json.dumps(how).encode())
        digest.update(self.path.read_bytes())
        return f"sha256:{digest.hexdigest()}"


def source_of(path: Path) -> str:
    """Who sends the file when it comes first: its name, without the middle where that is too long."""
    name = "".join(c if c.isprintable() else "?" for c in path.name)
    kept = _LONGEST_NAME // 2
    return f"file:{name}" if len(name) <= _LONGEST_NAME else f"file:{name[:kept]}…{name[-kept:]}"

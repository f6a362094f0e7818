"""The write of one file: what names it among all writes, so that it is done once, or continued."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from finstage_barfile import STDIN, BarFile, printable
from finstage_client.sync import Client
from finstage_client.upload import BATCH_ROWS, Upload, WriteProgress
from finstage_market.errors import AlreadyExists

# As long as a source may be, with what stands before the name.
_LONGEST_NAME = 128 - len("file:")


@dataclass(slots=True)
class FileWrite:
    """The write of a file's bars to a series.

    source: the sender: the file, by the name under which it was sent first.
    again: whether to send a file too whose content was written before.
    """

    path: Path
    bars: BarFile
    symbol: str
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
        """Send the bars.

        Raises:
            FinstageError: as Client.write() does; `progress` says what was done until then.
        """
        try:
            client.write(self._upload, progress)
        except AlreadyExists as error:
            # The same content keeps the name that it had when it was first sent.
            source = error.metadata.get("source", "")
            if not source.startswith("file:") or source == self.source:
                raise
            self.source = source
            self._upload = self._new_upload()
            client.write(self._upload, progress)

    def _new_upload(self) -> Upload:
        return Upload(
            self.bars.bars,
            symbol=self.symbol,
            interval=self.bars.interval,
            source=self.source,
            idempotency_key=self._key() + (f":{uuid4().hex}" if self.again else ""),
            mode=self.mode,
            adjusted_close=self.bars.closes_less_dividends,
        )

    def _key(self) -> str:
        """Return a key that the same content, written the same way, has under any name of the file."""
        file = self.bars
        read_as = [
            sorted(file.column_names.items()),
            file.times,
            file.decimal,
            file.ticker,
            file.bars.read_as(),
        ]
        how = [self.symbol, file.interval, read_as, BATCH_ROWS, self.mode, file.digest]
        return f"sha256:{hashlib.sha256(json.dumps(how).encode()).hexdigest()}"


def source_of(path: Path) -> str:
    """Return the sender of a file that was not sent before: its name, shortened in the middle."""
    name = "stdin" if path == STDIN else printable(path.name)
    kept = _LONGEST_NAME // 2
    return f"file:{name}" if len(name) <= _LONGEST_NAME else f"file:{name[:kept]}…{name[-kept:]}"

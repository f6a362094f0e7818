"""Where the services are."""

from dataclasses import asdict, dataclass

from finstage_client.sync import Client
from finstage_rpc.settings import ChannelSettings, load


@dataclass(frozen=True, slots=True)
class Targets:
    """HOST:PORT of each service."""

    price: str
    indicators: str
    ingest: str

    def client(self) -> Client:
        """A client of them. A wrong setting in the environment ends the process with a line that names it."""
        return Client(**asdict(self), settings=load(ChannelSettings))

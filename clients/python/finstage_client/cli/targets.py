"""The services that a command calls."""

from dataclasses import asdict, dataclass

from finstage_client.sync import Client


@dataclass(frozen=True, slots=True)
class Targets:
    """HOST:PORT of each service."""

    price: str
    indicators: str
    ingest: str

    def client(self) -> Client:
        """Return a client of these services."""
        return Client(**asdict(self))

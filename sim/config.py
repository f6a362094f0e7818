"""Settings, from the environment (prefix FINSTAGE_SIM_)."""

import datetime as dt

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings; the defaults work."""

    model_config = SettingsConfigDict(env_prefix="FINSTAGE_SIM_")

    listen: str = Field(
        default="127.0.0.1:8080", description="HOST:PORT to serve on; port 0 takes a free one"
    )
    seed: int = Field(default=7, ge=0, description="another seed is another market")
    start: dt.datetime | None = Field(
        default=None,
        description="where the market's own clock starts (ISO 8601, UTC when no offset is given)",
    )
    speed: float = Field(
        default=1.0, ge=0, description="with `start`: market seconds per second; 0 stops the clock"
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:8080")
        return value

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def start_s(self) -> float | None:
        """`start` in epoch seconds."""
        if self.start is None:
            return None
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=dt.UTC)
        return start.timestamp()

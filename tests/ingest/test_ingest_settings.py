"""The settings of ingest: a wrong one gives a line that names it, before anything is opened."""

import re
from pathlib import Path

import pytest

from finstage_market.interval import Interval
from finstage_rpc.settings import load
from services.ingest.config import MOVABLE, PROVIDERS, IngestSettings, parse_watch_list
from services.ingest.providers import catalogue


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IngestSettings.model_fields:
        monkeypatch.delenv(f"FINSTAGE_{name.upper()}", raising=False)


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line with which a start fails."""
    with pytest.raises(SystemExit) as raised:
        load(IngestSettings)
    assert raised.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("UNIVERSES", "{bad", "'{bad' was given; it is not valid JSON; accepted: named lists of 1 to 1000"),
        ("UNIVERSES", '["AAPL"]', "accepted: named lists"),
        ("UNIVERSES", '{"a": ["B"], "empty": []}', "(empty): [] was given; "),
        ("UNIVERSES", '{"a": ["B", "C D"]}', "(a, 1): 'C D' was given; a symbol is "),
        ("UNIVERSES", f'{{"many": [{", ".join(["1"] * 1001)}]}}', "(many"),
        ("DATABASE_URL", "mysql://x/y", "'mysql://x/y' was given; its scheme is neither sqlite nor"),
        ("DATABASE_URL", "postgresql://h:port/db", "was given; it is not a valid database URL"),
        ("DATABASE_URL", "postgresql://h:70000/db", "its port is not 1 to 65535"),
        ("DATABASE_URL", "postgresql://[bad/db", "its host name is not valid"),
        ("DATABASE_URL", "sqlite:///:memory:", "it names no file"),
        ("DATABASE_URL", "sqlite:///", "it names no file"),
        ("DATABASE_URL", "here", "it is not a valid database URL"),
        ("CACHE_URL", "redis://host:notaport", "was given; port could not be cast"),
        ("CACHE_URL", "http://x", "accepted: memory:// or redis://HOST:PORT/DB"),
        ("CACHE_URL", "redis+cluster://x", "its scheme must be memory, redis or rediss"),
        ("CACHE_URL", "redis://x?prefx=a", "option 'prefx' is unknown"),
        ("UPSTREAM_URL", "ftp://x", "it must be an http:// or https:// URL with a host"),
        ("UPSTREAM_URL", "http://[bad", "'http://[bad' was given; "),
        ("UPSTREAM_URL", "http://", "it must be an http:// or https:// URL with a host"),
        ("UPSTREAM_URL", "http://a b/", "it must be an http:// or https:// URL with a host"),
        ("SIM_URL", "sim:8080", "it must be an http:// or https:// URL with a host"),
        (
            "UPSTREAM_URL",
            "http://sim:8080",
            "it is the address of yahoo; FINSTAGE_PROVIDER is sim",
        ),
        ("PROVIDER", "yahooo", "unknown provider 'yahooo'"),
        ("PROVIDER", "sim,sim", "a provider is listed twice"),
    ],
)
def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FINSTAGE_{variable}", value)
    line = refused(capsys)
    assert line.startswith(f"FINSTAGE_{variable}")
    assert said in line
    assert len(line) < 500


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://user:p%40ss@db.example:5432/main"),
        ("DATABASE_URL", "postgresql://postgres@[::1]:5432/main?sslmode=disable"),
        ("DATABASE_URL", "postgresql:///main?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////tmp/x.db"),
        ("CACHE_URL", "rediss://user:secret@host:6379/1"),
        ("SIM_URL", "http://[::1]:8080"),
        ("UNIVERSES", '{"a": ["aapl"]}'),
    ],
)
def test_valid_settings_are_accepted(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"FINSTAGE_{variable}", value)
    assert variable.lower() in load(IngestSettings).model_fields_set


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("memory://?entries=5", None),
        ("redis://u:p@host:6379/1?prefix=a:", "redis://u:p@host:6379/1"),
        ("memory+rediss://host/2?lag_s=1", "rediss://host/2"),
    ],
)
def test_replicas_share_the_redis_of_the_cache(
    monkeypatch: pytest.MonkeyPatch, value: str, server: str | None
) -> None:
    monkeypatch.setenv("FINSTAGE_CACHE_URL", value)
    assert load(IngestSettings).redis_url == server


@pytest.mark.parametrize("name", ["none", "plain"])
def test_the_folder_of_the_provider_file_must_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "plain").touch()
    monkeypatch.setenv("FINSTAGE_FILES", str(tmp_path / name))
    load(IngestSettings)
    monkeypatch.setenv("FINSTAGE_PROVIDER", "sim,file")
    assert refused(capsys).startswith(
        f"FINSTAGE_FILES: '{tmp_path / name}' was given; it is not an existing folder"
    )


def test_the_settings_know_every_provider() -> None:
    assert set(PROVIDERS) == set(catalogue.PROVIDERS)
    assert {MOVABLE} == catalogue.MOVABLE


def test_a_watch_list_is_read_or_refused_with_a_reason() -> None:
    found = parse_watch_list(" aapl/1d, BTC-USD/5m,,AAPL/1d")
    assert found == (("AAPL", Interval.D1), ("BTC-USD", Interval.M5))
    assert parse_watch_list("") == ()
    for text, said in (
        ("AAPL", "SYMBOL/INTERVAL"),
        ("AAPL/2d", "'2d' is not supported; use 1m"),
        ("?/1d", "a symbol is"),
    ):
        with pytest.raises(ValueError, match=said):
            parse_watch_list(text)


def test_the_address_of_an_upstream_applies_to_one_provider(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FINSTAGE_FILES", str(tmp_path))
    monkeypatch.setenv("FINSTAGE_UPSTREAM_URL", "http://127.0.0.1:9")
    for provider in ("yahoo", "yahoo, sim", "file,yahoo"):
        monkeypatch.setenv("FINSTAGE_PROVIDER", provider)
        assert load(IngestSettings).sim_url == catalogue.SIM_URL
    for provider in ("sim", "file", "file,sim"):
        monkeypatch.setenv("FINSTAGE_PROVIDER", provider)
        assert refused(capsys).startswith("FINSTAGE_UPSTREAM_URL: 'http://127.0.0.1:9' was given; ")


@pytest.mark.parametrize("provider", ["yahoo", "yahoo,sim", None])
def test_compose_aims_only_the_provider_sim_at_the_local_market(
    monkeypatch: pytest.MonkeyPatch, provider: str | None
) -> None:
    """The variables are those that compose would set."""
    given = {} if provider is None else {"FINSTAGE_PROVIDER": provider}
    text = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
    [block] = re.findall(r"\n  ingest:\n(.*?)\n\n", text, re.DOTALL)
    for name, value in re.findall(r"(FINSTAGE_\w+): (.*)", block):
        value = re.sub(r"\$\{(\w+):?-(.*?)\}", lambda found: given.get(found[1], found[2]), value)
        monkeypatch.setenv(name, value)
    settings = load(IngestSettings)
    assert settings.provider == (provider or "sim")
    assert (settings.upstream_url, settings.sim_url) == ("", "http://sim:8080")

"""Settings: working defaults, and the line on stderr for a wrong one."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field, SecretStr

from finstage_cache import check_url
from finstage_rpc.settings import ChannelSettings, ServerSettings, load


class Wired(ServerSettings, ChannelSettings):
    """Settings like those of a service."""

    listen: str = Field("127.0.0.1:50051", description="HOST:PORT for gRPC")
    database_url: str = Field("sqlite:///var/x.db", pattern="^(sqlite|postgresql)", description="a database")
    token: SecretStr | None = Field(None, min_length=8)
    cache_url: Annotated[str, AfterValidator(check_url)] = "memory://"
    names: dict[str, str] = Field({}, description="names, as JSON")
    workers: int = Field(4, ge=1, description="threads, 1 or more")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Wired.model_fields:
        monkeypatch.delenv(f"FINSTAGE_{name.upper()}", raising=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the output of a failed start."""
    with pytest.raises(SystemExit) as raised:
        load(Wired)
    assert raised.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_an_empty_environment_gives_working_settings() -> None:
    settings = load(Wired)
    assert (settings.log_level, settings.log_format) == ("INFO", "console")
    assert settings.tls_cert is None


def test_variables_have_the_prefix_and_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINSTAGE_LISTEN", "[::]:50051")
    monkeypatch.setenv("FINSTAGE_LOG_LEVEL", "debug")
    monkeypatch.setenv("FINSTAGE_LOG_FORMAT", "JSON")
    settings = load(Wired)
    assert (settings.listen, settings.log_level, settings.log_format) == ("[::]:50051", "DEBUG", "json")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINSTAGE_API_KEYS_FILE", "")
    assert load(Wired).api_keys_file is None


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("LISTEN", "50051", "HOST:PORT"),
        ("LISTEN", "localhost:70000", "HOST:PORT"),
        ("METRICS_LISTEN", "a b:1", "HOST:PORT"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("WORKERS", "0", "1 or more"),
        ("WORKERS", "many", "1 or more"),
        ("SLOW_CALL_S", "-1", "seconds"),
        ("TLS_CLIENT_CA", "/no/such/file", "PEM"),
        ("MAX_CONCURRENT_CALLS", "0", "1 to 100000"),
        ("DRAIN_WAIT_S", "soon", "0 to 600"),
    ],
)
def test_a_wrong_variable_is_one_line_with_its_name_its_value_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    accepted: str,
) -> None:
    monkeypatch.setenv(f"FINSTAGE_{variable}", value)
    (line,) = lines(capsys)
    assert line.startswith(f"FINSTAGE_{variable}: {value!r} was given; ")
    assert accepted in line.partition("accepted: ")[2]


def test_each_wrong_variable_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINSTAGE_LOG_LEVEL", "loud")
    monkeypatch.setenv("FINSTAGE_LISTEN", "here")
    assert [line.partition(":")[0] for line in lines(capsys)] == ["FINSTAGE_LISTEN", "FINSTAGE_LOG_LEVEL"]


def test_secrets_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINSTAGE_TOKEN", "hunter2")
    monkeypatch.setenv("FINSTAGE_DATABASE_URL", "mysql://me:hunter3@db/x")
    text = "\n".join(lines(capsys))
    assert "hunter" not in text
    assert "FINSTAGE_TOKEN: a value was given" in text
    assert "'mysql://***@db/x'" in text


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter@db/x",
        "mysql://me:hun/hunter@hunter@db/x",
        "mysql://me:hunter?hunter#@hunter'@db/x",
        "mysql:me:hunter@//hunter@db",
        "mysql://me:hunter",
        "mysql://db/x?password=hunter&sslmode=off",
    ],
)
def test_a_password_is_not_repeated_however_odd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("FINSTAGE_DATABASE_URL", url)
    (line,) = lines(capsys)
    assert line.startswith("FINSTAGE_DATABASE_URL: ")
    assert "hunter" not in line


def test_a_validator_s_own_message_does_not_repeat_it_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINSTAGE_CACHE_URL", "redis://me:hun/hunter@host/0")
    (line,) = lines(capsys)
    assert line.startswith("FINSTAGE_CACHE_URL: 'redis://***@host/0' was given; ")
    assert "hunter" not in line


def test_invalid_json_is_reported_like_any_wrong_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINSTAGE_NAMES", "{bad")
    (line,) = lines(capsys)
    assert line == "FINSTAGE_NAMES: '{bad' was given; it is not valid JSON; accepted: names, as JSON"


def test_a_certificate_needs_its_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "cert.pem").write_text("x")
    monkeypatch.setenv("FINSTAGE_TLS_CERT", str(tmp_path / "cert.pem"))
    (line,) = lines(capsys)
    assert "FINSTAGE_TLS_CERT and FINSTAGE_TLS_KEY go together" in line


def test_client_certificates_need_a_server_certificate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("x")
    monkeypatch.setenv("FINSTAGE_TLS_CLIENT_CA", str(tmp_path / "ca.pem"))
    (line,) = lines(capsys)
    assert "FINSTAGE_TLS_CLIENT_CA needs FINSTAGE_TLS_CERT" in line

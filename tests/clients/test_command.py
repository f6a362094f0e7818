"""The `finstage` command on three small services. Its look in terminals and pipes: test_command_output.py."""

from collections.abc import Callable
from typing import Any

import pytest

from finstage_market.columns import Columns
from tests.clients.conftest import Services

Run = Callable[..., Any]


def test_quotes_are_a_table_that_says_what_is_simulated(finstage: Run) -> None:
    done = finstage("quote", "AAPL")
    assert done.code == 0
    assert "189.98" in done.stdout
    assert "+1.05%" in done.stdout
    assert "simulated data (sim)" in done.stdout


def test_a_quote_that_is_not_there_is_a_line_of_its_own(finstage: Run) -> None:
    done = finstage("quote", "AAPL", "NOSUCH")
    assert done.code == 1
    assert "189.98" in done.stdout
    assert done.stderr == "error: NOSUCH: no provider knows the symbol NOSUCH\n"


def test_bars_are_exact_for_machines(finstage: Run, bars: Columns) -> None:
    """Every double can be read back bit for bit; times are ISO 8601."""
    document = finstage("bars", "AAPL", "--limit", "60", "--json").json
    assert [bar["close"] for bar in document["bars"]] == list(bars.close)
    assert document["bars"][0]["open_time"] == "2024-01-01T00:00:00Z"
    assert document["provenance"]["source"] == "sim"
    assert document["version"] == {"epoch": 1, "revision": 7}
    assert document["coverage"]["gaps"][0]["reason"] == "PROVIDER_MISSING"


def test_bars_are_a_table_with_their_source_and_gaps(finstage: Run) -> None:
    done = finstage("bars", "AAPL")
    assert done.code == 0
    assert done.stdout.count("2024-") > 20
    for part in (
        "AAPL 1d USD",
        "simulated data (sim)",
        "epoch 1 revision 7",
        "still forming",
        "PROVIDER_MISSING",
    ):
        assert part in done.stdout


def test_compute_shows_a_column_per_output(finstage: Run) -> None:
    done = finstage("compute", "AAPL", "--indicator", "ma:matype=ema", "--indicator", "macd", "--limit", "4")
    assert done.code == 0
    for part in ("macd.macdsignal", "0.33333333", "ma(matype=1) as talib defines it", "simulated data (sim)"):
        assert part in done.stdout
    document = finstage("compute", "AAPL", "--indicator", "macd", "--json").json
    assert document["rows"][0] == {
        "open_time": "2024-01-01T00:00:00Z",
        "macd.macd": None,
        "macd.macdsignal": None,
    }
    assert document["rows"][3]["macd.macdsignal"] == 2 / 3


def test_an_indicator_without_a_value_is_a_line_of_its_own(finstage: Run) -> None:
    done = finstage("compute", "AAPL", "--indicator", "long", "--indicator", "ma")
    assert done.code == 1
    assert "0.33333333" in done.stdout
    assert done.stderr == "error: long: 4 bars, and 9 are needed\n"


def test_a_violation_names_its_field(finstage: Run) -> None:
    done = finstage("compute", "AAPL", "--indicator", "nosuch")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == "error: specs[0].name: 'nosuch' is no indicator\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("compute", "AAPL", "--indicator", "sma:x"), "'x' is not param=value"),
        (("bars", "AAPL", "--start", "soon"), "'soon' is not a time"),
        (("bars", "AAPL", "-i", "3d"), "'3d' is not one of"),
        (("bars",), "Missing argument"),
        (("rejected", "--symbol", "a b"), "Invalid value for '--symbol': 'a b': a symbol is 1 to"),
        (("backfill", "AAPL", "a b"), "'a b': a symbol is 1 to"),
        (("backfill",), "give either SYMBOL... or --universe NAME"),
        (("backfill", "AAPL", "--universe", "majors"), "give either SYMBOL... or --universe NAME"),
        (("bars", "AAPL", "--adjustment", "foo"), "'foo' is not one of 'splits', 'all'"),
        (("bars", "a b"), "'a b': a symbol is 1 to"),
        (("quote", ""), "'': a symbol is 1 to"),
        (("quote", "AAPL", "a b"), "'a b': a symbol is 1 to"),
        (("bars", "AAPL", "--limit", "few"), "'few' is neither a number of bars nor 'all'"),
        (("bars", "AAPL", "--start", "2024-01-01", "--limit", "5"), "limit: give either limit, or start"),
        (("bars", "AAPL", "--start", "1767225600"), "'1767225600' is not a time"),
        (("bars", "AAPL", "--start", "2024-01-01T10:00"), "has no time zone"),
        (("jobs", "--limit", "0"), "Invalid value for '--limit'"),
        (("backfill", "AAPL", "--request-id", "a"), "No such option"),
        (("--price-target", "http://localhost:50051", "quote", "AAPL"), "write HOST:PORT, without http://"),
        (("--price-target", "localhost:70000", "quote", "AAPL"), "ports are 1 to 65535"),
    ],
)
def test_a_wrong_call_is_exit_code_2(finstage: Run, arguments: tuple[str, ...], line: str) -> None:
    done = finstage(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert line in done.stderr


def test_a_service_that_does_not_run_is_one_line_that_says_what_to_do(
    finstage: Run, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"127.0.0.1:{closed_port}"
    done = finstage("--price-target", target, "quote", "AAPL")
    assert done.code == 1
    why = "is not there: nothing listens on that port; start the services with `make run`"
    assert done.stderr == f"error: price service at {target} {why}\n"
    monkeypatch.setenv("FINSTAGE_PRICE_TARGET", target)
    status = finstage("status", "--json")
    assert status.code == 1
    assert [each["health"] for each in status.json["services"][1:]] == ["SERVING", "SERVING"]
    assert status.json["services"][0]["health"]["reason"] == "SERVICE_UNAVAILABLE"


def test_a_wrong_setting_is_one_line_that_names_the_variable(
    finstage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINSTAGE_TLS_CA", "/nowhere/ca.pem")
    done = finstage("quote", "AAPL")
    assert done.code == 2
    assert done.stderr == "error: FINSTAGE_TLS_CA: cannot read '/nowhere/ca.pem': No such file or directory\n"


def test_a_range_without_bars_says_so(finstage: Run) -> None:
    done = finstage("bars", "AAPL", "--start", "1999-01-01", "--end", "1999-02-01")
    assert done.code == 0
    first = "AAPL 1d: there are no bars from 1999-01-01 00:00:00 UTC up to 1999-02-01 00:00:00 UTC"
    assert first in done.stdout.splitlines()
    assert "open time" not in done.stdout


def test_a_gap_is_a_line_with_its_range_and_reason(finstage: Run) -> None:
    gap = "gap: 2024-01-11 00:00:00 to 2024-01-12 00:00:00 UTC, 1 bar missing, PROVIDER_MISSING"
    assert gap in finstage("bars", "AAPL").stdout.splitlines()


def test_the_catalogue_is_listed(finstage: Run) -> None:
    done = finstage("indicators")
    for part in ("Moving average", "timeperiod=30, matype=sma", "TA-Lib 0.8.2"):
        assert part in done.stdout
    assert finstage("indicators", "--json").json["indicators"][0]["parameters"][1]["choices"][1] == {
        "value": 1,
        "name": "EMA",
    }


def test_a_backfill_is_watched_to_its_end(finstage: Run) -> None:
    done = finstage("backfill", "AAPL")
    assert done.code == 0
    assert "200 rows: 200 inserted" in done.stdout
    assert finstage("backfill", "AAPL", "--json").json["job"]["state"] == "SUCCEEDED"


def test_bars_are_deleted_after_a_look_and_a_yes(finstage: Run, services: Services) -> None:
    asked = ("delete", "AAPL", "--interval", "1d", "--reason", "wrong file", "--start", "2024-01-01")
    seen = finstage(*asked, "--dry-run")
    assert (seen.code, seen.stdout.split(";")[0]) == (
        0,
        "would delete 2 bars, 2024-01-01 00:00:00 to 2024-01-02 00:00:00 of AAPL 1d",
    )
    refused = finstage(*asked)
    assert (refused.code, refused.stdout) == (2, "")
    assert "--yes" in refused.stderr
    assert all(request.dry_run for request in services.ingest.requests)
    done = finstage(*asked, "--yes")
    told, again = done.stdout.splitlines()
    assert (done.code, told.split("; ")[1]) == (0, "epoch 2 revision 8")
    assert "--again" in again
    last = services.ingest.requests[-1]
    assert (last.symbol, last.interval, last.reason, last.dry_run) == ("AAPL", "1d", "wrong file", False)
    assert last.range.start.ToJsonString() == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize("missing", ["--interval", "--reason"])
def test_a_deletion_guesses_nothing(finstage: Run, missing: str) -> None:
    options = {"--interval": "1d", "--reason": "x"}
    del options[missing]
    done = finstage("delete", "AAPL", *(part for option in options.items() for part in option))
    assert done.code == 2
    assert missing in done.stderr


def test_a_provider_is_resumed(finstage: Run) -> None:
    done = finstage("resume", "sim")
    assert (done.code, done.stdout) == (0, "resumed sim\n")

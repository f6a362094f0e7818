"""The `finstage` command on three small services."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from libs.market.columns import Columns

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
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr == "error: specs[0].name: 'nosuch' is no indicator\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("compute", "AAPL", "--indicator", "sma:x"), "'x' is not one param=value"),
        (("bars", "AAPL", "--start", "soon"), "'soon' is no time"),
        (("bars", "AAPL", "-i", "3d"), "'3d' is not one of"),
        (("bars",), "Missing argument"),
        (("ingest", "a.csv", "--symbol", "A", "--map", "close"), "'close' is not FIELD=COLUMN"),
        (
            ("ingest", "a.csv", "--symbol", "A", "--map", "price=x"),
            "'price=x': 'price' is none of time, open,",
        ),
        (
            ("ingest", "a.csv", "--symbol", "bad sym"),
            "Invalid value for '--symbol': 'bad sym': a symbol is 1 to",
        ),
        (("rejected", "--symbol", "a b"), "Invalid value for '--symbol': 'a b': a symbol is 1 to"),
        (("backfill", "AAPL", "a b"), "'a b': a symbol is 1 to"),
        (("bars", "a b"), "'a b': a symbol is 1 to"),
        (
            ("ingest", "a.csv", "--symbol", "A", "--time-zone", "Mars/X"),
            "Invalid value for '--time-zone': 'Mars/X' is no IANA time zone, such as UTC",
        ),
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
    assert done.stderr == f"error: price service at {target} does not answer; start it with `make run`\n"
    monkeypatch.setenv("FINSTAGE_PRICE_TARGET", target)
    status = finstage("status", "--json")
    assert status.code == 1
    assert [each["health"] for each in status.json["services"][1:]] == ["SERVING", "SERVING"]
    assert status.json["services"][0]["health"]["reason"] == "SERVICE_UNAVAILABLE"


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


def test_a_file_is_ingested_with_its_mapping_shown(finstage: Run, fixtures: Path) -> None:
    path = str(fixtures / "ohlcv/spx_daily_1990_2022.csv")
    done = finstage("ingest", path, "--symbol", "spx-csv")
    assert done.code == 0
    for part in (
        "SPX-CSV 1d",
        "time=date",
        "month/day/year, UTC",
        "8,111 rows: 8,111 inserted",
        "0 rejected",
    ):
        assert part in done.stdout
    again = finstage("ingest", path, "--symbol", "SPX-CSV")
    for part in ("written before, and nothing was sent now", "that write: 8,111 rows: 8,111 inserted"):
        assert part in again.stdout


def test_a_file_that_was_written_before_is_sent_again_where_that_is_asked_for(
    finstage: Run, services: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("date,open,high,low,close\n2024-01-01,1,1,1,1\n?,1,1,1,1\n")
    call = ("ingest", str(path), "--symbol", "x", "--json")
    counts = [finstage(*call, *more).json["files"][0] for more in ((), (), ("--again",), ("--again",))]
    assert [(each["written_before"], each["sent_now"]) for each in counts] == [(0, 1), (1, 0), (0, 1), (0, 1)]
    assert len(services.ingest.batches) == 3


def test_rows_that_could_not_be_sent_are_all_told_and_those_refused_where_they_are_listed(
    finstage: Run, tmp_path: Path
) -> None:
    path = tmp_path / "U.csv"
    unread = "".join(f"day {day},1,1,1,1\n" for day in range(30))
    path.write_text(f"date,open,high,low,close\n2024-01-01,1,1,1,1\n{unread}")
    done = finstage("ingest", str(path), "--symbol", "X").stdout
    assert "30 rows could not be read, and so not be sent:" in done
    assert done.count("UNREADABLE_TIME") == 30
    assert "finstage rejected" not in done
    refused = "".join(f"2024-02-{day:02},1,1,1,-\n" for day in range(1, 13))
    path.write_text(f"date,open,high,low,close\n2024-01-01,1,1,1,1\n{unread}{refused}")
    done = finstage("ingest", str(path), "--symbol", "X").stdout
    assert done.count("NOT_FINITE") == 10
    assert "and 2 more: finstage rejected --source file:U.csv" in done


def test_rejected_rows_are_counted_and_told_by_their_line(finstage: Run, tmp_path: Path) -> None:
    """Also those that could not be sent."""
    path = tmp_path / "bars.csv"
    path.write_text("date,open,high,low,close\n2024-01-02,2,2,2,-\n?,1,1,1,1\n2024-01-01,1,1,1,1\n")
    done = finstage("ingest", str(path), "--symbol", "X")
    assert done.code == 0
    for part in (
        "3 rows: 1 inserted",
        "2 rejected",
        "line 2: NOT_FINITE",
        "line 3: UNREADABLE_TIME",
        "no volume: 0",
    ):
        assert part in done.stdout
    (report,) = finstage("ingest", str(path), "--symbol", "Y", "--json").json["files"]
    assert report["rows"] == {"sent": 3, "inserted": 1, "updated": 0, "unchanged": 0, "rejected": 2}
    assert [each["line"] for each in report["rejected"]] == [2, 3]


def test_a_parquet_is_ingested_as_the_csv_of_the_same_data_is(
    finstage: Run, services: Any, fixtures: Path, tmp_path: Path
) -> None:
    csv, path = fixtures / "ohlcv/spx_daily_1990_2022.csv", tmp_path / "spx.parquet"
    frame = pd.read_csv(csv, encoding="utf-8-sig", index_col="date")
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.index, format="%m/%d/%Y"))
    frame.to_parquet(path)
    done = finstage("ingest", str(csv), str(path), "--symbol", "SPX")
    assert done.code == 0
    for part in ("spx.parquet", "time=date", "times: timestamps, UTC"):
        assert part in done.stdout
    assert done.stdout.count("8,111 rows: 8,111 inserted") == 2
    of_csv, of_parquet = services.ingest.batches.values()
    assert of_parquet == of_csv


def test_a_row_of_a_parquet_is_told_by_its_number(finstage: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame = pd.DataFrame({"date": ["2024-01-01", "?", "2024-01-02"], "open": 1.0, "high": 1.0, "low": 1.0})
    frame.assign(close=[1.0, 1.0, None]).to_parquet(path)
    done = finstage("ingest", str(path), "--symbol", "X")
    for part in ("row 2: UNREADABLE_TIME", "row 3: NOT_FINITE", "3 rows: 1 inserted"):
        assert part in done.stdout
    (report,) = finstage("ingest", str(path), "--symbol", "Y", "--json").json["files"]
    assert [each["row"] for each in report["rejected"]] == [2, 3]


def test_a_file_that_cannot_be_read_is_one_line(finstage: Run, tmp_path: Path) -> None:
    done = finstage("ingest", str(tmp_path / "none.csv"), "--symbol", "X")
    assert (done.code, done.stderr) == (1, f"error: {tmp_path}/none.csv: No such file or directory\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "when,open,high,low\n",
            "no column for time, close; the file has when, open, high, low; say which with --map time=COLUMN "
            "--map close=COLUMN",
        ),
        (
            "time,open,high,low,close\n2024-01-02 09:30,1,1,1,1\n",
            "its times ('2024-01-02 09:30') name no time zone; say which with --time-zone "
            "America/New_York, or UTC",
        ),
    ],
)
def test_what_would_help_to_read_a_file_is_told(
    finstage: Run, tmp_path: Path, content: str, line: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(content)
    done = finstage("ingest", str(path), "--symbol", "X", "-i", "1m")
    assert (done.code, done.stdout, done.stderr) == (1, "", f"error: {path}: {line}\n")

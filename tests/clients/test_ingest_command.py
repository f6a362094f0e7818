"""`finstage ingest` on small services, and on the real ingest where its words count."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import finstage_barfile as barfile
from finstage_client import Client, Upload, WriteProgress
from finstage_client.cli.file_write import FileWrite
from finstage_market.interval import Interval
from finstage_rpc.service import Service
from finstage_runtime.clock import SYSTEM
from finstage_runtime.executor import BoundedExecutor
from services.ingest.ingest_servicer import RAW_REQUESTS, SERVICE, IngestServicer
from services.ingest.store.sql import open_store

from .conftest import serving

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("ingest", "a.csv", "--symbol", "A", "--map", "close"), "'close' is not FIELD=COLUMN"),
        (
            ("ingest", "a.csv", "--symbol", "A", "--map", "price=x"),
            "'price=x': 'price' is not one of time, open,",
        ),
        (
            ("ingest", "a.csv", "--symbol", "bad sym"),
            "Invalid value for '--symbol': 'bad sym': a symbol is 1 to",
        ),
        (
            ("ingest", "a.csv", "--symbol", "A", "--time-zone", "Mars/X"),
            "Invalid value for '--time-zone': 'Mars/X' is not an IANA time zone, such as UTC",
        ),
        (
            ("ingest", "a.csv", "--symbol", "A", "--mode", "foo"),
            "'foo' is not one of 'upsert', 'insert', 'update'",
        ),
        (("ingest", "a.csv", "--symbol", "A", "--decimal", ";"), "';' is not one of '.', ','"),
        (
            ("ingest", "a.csv", "--symbol", "A", "--date-format", "%d"),
            "'%d' is not a date format, such as %d/%m/%Y",
        ),
        (("ingest", "a.csv", "--symbol", "A", "--date-format", "D/M"), "'D/M' is not a date format"),
    ],
)
def test_a_wrong_call_is_exit_code_2(finstage: Run, arguments: tuple[str, ...], line: str) -> None:
    done = finstage(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert line in done.stderr


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
    refused = "".join(f"2024-02-{day:02},1,1,1,\n" for day in range(1, 13))
    path.write_text(f"date,open,high,low,close\n2024-01-01,1,1,1,1\n{unread}{refused}")
    done = finstage("ingest", str(path), "--symbol", "X").stdout
    assert done.count("NOT_FINITE") == 10
    assert "and 2 more: finstage rejected --source file:U.csv" in done


def test_rejected_rows_are_counted_and_told_by_their_line(finstage: Run, tmp_path: Path) -> None:
    """Also those that could not be sent."""
    path = tmp_path / "bars.csv"
    path.write_text("date,open,high,low,close\n2024-01-02,2,2,2,\n?,1,1,1,1\n2024-01-01,1,1,1,1\n")
    done = finstage("ingest", str(path), "--symbol", "X")
    assert done.code == 3
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


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    """Where the real ingest is, on an empty database."""
    store = open_store(f"sqlite:///{tmp_path}/var/finstage.db", clock=SYSTEM)
    with (
        closing(BoundedExecutor(threads=2, queued=100, name="database")) as database,
        closing(BoundedExecutor(threads=2, queued=100, name="writing")) as writing,
    ):
        servicer = IngestServicer(
            store,
            database=database,
            writing=writing,
            clock=SYSTEM,
            universes={},
            wake=lambda: None,
            upstream_status=list,
            resume=lambda name: None,
        )
        with serving(Service(SERVICE, servicer, RAW_REQUESTS)) as (target,):
            yield target
    store.close()


def test_a_content_that_was_written_before_is_known_by_any_name(
    finstage: Run, target: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("date,open,high,low,close\n2024-01-01,1,1,1,1\n2024-01-02,1,1,1,-1\n")
    call = ("--ingest-target", target, "ingest")
    assert "2 rows: 1 inserted" in finstage(*call, str(first), "--symbol", "X").stdout
    first.rename(second)
    done = finstage(*call, str(second), "--symbol", "X")
    assert done.code == 3
    assert "written before, as file:first.csv, and nothing was sent now" in done.stdout
    (report,) = finstage(*call, str(second), "--symbol", "X", "--json").json["files"]
    assert (report["source"], report["written_before"], report["sent_now"]) == ("file:first.csv", 2, 0)
    again = finstage(*call, str(second), "--symbol", "X", "--again", "--json").json["files"][0]
    assert (again["source"], again["sent_now"], again["rows"]["unchanged"]) == ("file:second.csv", 2, 1)


def test_a_write_that_broke_off_continues_under_another_name(
    finstage: Run, target: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    days = pd.date_range("1990-01-01", periods=12_000).strftime("%Y-%m-%d")
    first.write_text("date,open,high,low,close\n" + "".join(f"{day},1,1,1,1\n" for day in days))
    bars = barfile.read(first, interval=Interval.D1, ticker="X")
    write = FileWrite(first, bars, symbol="X", mode="upsert", again=False)

    def stop(now: WriteProgress) -> None:
        if now.rows.sent:
            raise InterruptedError

    with Client(ingest=target) as client, pytest.raises(InterruptedError):
        write.run(client, stop)
    first.rename(second)
    call = ("--ingest-target", target, "ingest", str(second), "--symbol", "X", "--json")
    (report,) = finstage(*call).json["files"]
    assert report["written_before"] in (5_000, 10_000)
    assert (report["source"], report["rows"]["inserted"]) == ("file:first.csv", 12_000)


def test_a_name_may_be_of_any_length(finstage: Run, target: str, tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 120}\n{'é' * 60}.csv"
    path.write_text("date,open,high,low,close\n2024-01-01,1,1,1,1\n")
    (report,) = finstage("--ingest-target", target, "ingest", str(path), "--symbol", "X", "--json").json[
        "files"
    ]
    assert (report["source"], report["rows"]["inserted"]) == (f"file:{'x' * 61}…{'é' * 57}.csv", 1)


def test_what_was_guessed_and_passed_over_is_shown_with_how_to_say_it(finstage: Run, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("date,open,high,low,close,Name\n1/2/2024,141.1,141.1,141.1,141.1,A\n1/2/2024,1,1,1,1,B\n")
    done = finstage("ingest", str(path), "--symbol", "A")
    assert done.code == 0
    for part in (
        "ticker: A",
        "passed over: 1 row of B",
        "guessed: '1/2/2024' was read as month/day/year, and could be day/month/year; say it with --date",
    ):
        assert part in done.stdout
    said = finstage(
        "ingest", str(path), "--symbol", "A", "--date-format", "%d/%m/%Y", "--no-volume", "--json"
    ).json["files"][0]
    assert (said["guesses"], said["passed_over"], said["times"]) == ([], {"B": 1}, "%d/%m/%Y, UTC")


def test_a_file_s_own_name_for_a_symbol_is_given_by_ticker(finstage: Run, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("date,open,high,low,close,ticker\n2024-01-01,1,1,1,1,BRK.B\n2024-01-01,2,2,2,2,AAPL\n")
    done = finstage("ingest", str(path), "--symbol", "BRK-B")
    told = "column 'ticker' holds 'BRK.B', 'AAPL', and not BRK-B; say which with --symbol, or --ticker where"
    assert done.code == 1
    assert told in done.stderr
    assert (
        "passed over: 1 row of AAPL"
        in finstage("ingest", str(path), "--symbol", "BRK-B", "--ticker", "BRK.B").stdout
    )


def test_a_decimal_comma_can_be_said_and_is_shown(finstage: Run, services: Any, tmp_path: Path) -> None:
    path = tmp_path / "dax.csv"
    path.write_text("Date;Open;High;Low;Close\n02.01.2024;38.000;38.500;37.900;38.100\n")
    done = finstage("ingest", str(path), "--symbol", "X")
    assert done.code == 1
    assert (
        "can be 38 or 38000; no other number of the file tells which; say which with --decimal" in done.stderr
    )
    assert "numbers: decimal comma" in finstage("ingest", str(path), "--symbol", "X", "--decimal", ",").stdout
    (batches,) = services.ingest.batches.values()
    assert list(batches[0].columns.open) == [38000]


def test_each_file_has_its_report_also_where_another_failed(
    finstage: Run, services: Any, tmp_path: Path
) -> None:
    good, bad, broken = (tmp_path / f"{name}.csv" for name in ("good", "bad", "broken"))
    good.write_text("date,open,high,low,close\n2024-01-01,1,1,1,1\n")
    bad.write_text("x,y\n1,2\n")
    broken.write_text("date,open,high,low,close\n2024-01-01,2,2,2,2\n")
    services.ingest.fails_on = 2.0
    done = finstage("ingest", *map(str, (good, bad, broken, good)), "--symbol", "X", "--json")
    assert done.code == 1
    reports = done.json["files"]
    assert [report["file"] for report in reports] == [str(path) for path in (good, bad, broken, good)]
    assert [report["error"] and report["error"]["reason"] for report in reports] == [
        None, "UNREADABLE", "OUT_OF_SEQUENCE", None,
    ]  # fmt: skip
    assert (reports[0]["rows"]["inserted"], reports[2]["rows"]["inserted"], reports[3]["sent_now"]) == (
        1,
        0,
        0,
    )
    assert f"error: {bad}: no column for" in done.stderr
    assert f"error: {broken}: no such batch" in done.stderr


def test_the_exit_code_says_whether_all_rows_are_in(finstage: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    header, good, bad = "date,open,high,low,close\n", "2024-01-01,1,1,1,1\n", "2024-01-02,1,1,1,$\n"
    for rows, code in ((good, 0), (good + bad, 3), (bad, 1), (good, 0)):
        path.write_text(header + rows)
        assert finstage("ingest", str(path), "--symbol", "X").code == code


OPTIONS = {
    "--columns time,close,low,open,high,volume": "1704067200000,2,1,1.5,3,5\n",
    "--skip-rows 1": "a,b,c,d,e,f\ntime,open,high,low,close,volume\n1704067200000,1.5,3,1,2,5\n",
    "--encoding latin-1": "time,open,high,low,close,volume,Größe\n1704067200000,1.5,3,1,2,5,1\n",
    "--no-volume": "time,open,high,low,close,Menge\n1704067200000,1.5,3,1,2,5\n",
    "--map volume=Menge": "time,open,high,low,close,Menge\n1704067200000,1.5,3,1,2,5\n",
    "--price-scale 0.5": "time,open,high,low,close,volume\n1704067200000,3,6,2,4,5\n",
    "--stamp end": "time,open,high,low,close,volume\n1704153600000,1.5,3,1,2,5\n",
    "--prices adjusted": "time,open,high,low,close,volume,split\n1704067200000,1.5,3,1,2,5,4\n",
    "--date-format '%d/%m/%Y %z'": "time,open,high,low,close,volume\n01/01/2024 +0900,1.5,3,1,2,5\n",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_says_what_a_file_does_not(
    finstage: Run, services: Any, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(OPTIONS[option].encode("latin-1"))
    done = finstage("ingest", str(path), "--symbol", "X", "-i", "1d", *shlex.split(option))
    assert (done.code, done.stderr) == (0, "")
    ((batch,),) = services.ingest.batches.values()
    columns = batch.columns
    assert list(columns.open_time_ms) == [1704067200000]
    assert [columns.open[0], columns.high[0], columns.low[0], columns.close[0]] == [1.5, 3, 1, 2]
    assert columns.volume[0] == (0 if option == "--no-volume" else 5)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--encoding", "klingon"), "'klingon' is not an encoding, such as utf-8"),
        (("--columns", "time"), "'time' is not a list of columns"),
        (("--prices", "x"), "'x' is not one of 'raw', 'adjusted'"),
        (("--stamp", "x"), "'x' is not one of 'start', 'end'"),
    ],
)
def test_a_wrong_option_is_exit_code_2(finstage: Run, arguments: tuple[str, ...], line: str) -> None:
    done = finstage("ingest", "a.csv", "--symbol", "A", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert line in done.stderr


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("1704067200000,2,1,1.5,3,5\n", "say which with --columns time,open,high,low,close,volume"),
        ("time,open,high,low,close,Menge\n1704067200000,1,3,1,2,5\n", "--map volume=COLUMN, or --no-volume"),
        (
            "time,open,high,low,close,volume,split\n2024-01-01,1,1,1,1,1,1\n2024-01-02,1,1,1,1,1,x\n",
            "--prices raw or",
        ),
        ("time,open,high,low,close,volume,Größe\n", "say which with --encoding, such as latin-1"),
    ],
)
def test_a_doubt_names_the_option_that_settles_it(
    finstage: Run, tmp_path: Path, content: str, hint: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content.encode("latin-1"))
    done = finstage("ingest", str(path), "--symbol", "X")
    assert done.code == 1
    assert hint in done.stderr


def test_without_an_interval_that_of_the_file_is_taken_and_shown(
    finstage: Run, services: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "time,open,high,low,close,volume\n"
        + "".join(f"{1704067200 + 3600 * hour},1,1,1,1,1\n" for hour in range(9))
    )
    done = finstage("ingest", str(path), "--symbol", "X")
    assert done.code == 0
    assert "bars.csv to X 1h" in done.stdout
    assert "interval: 1h, as far as its bars are apart" in done.stdout
    ((batch,),) = services.ingest.batches.values()
    assert batch.interval == "1h"
    refused = finstage("ingest", str(path), "--symbol", "X", "-i", "1m")
    assert (refused.code, "its bars look like 1h, not 1m; say which with --interval" in refused.stderr) == (
        1,
        True,
    )


def test_raw_prices_are_adjusted_and_closes_for_dividends_sent(
    finstage: Run, services: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "date,open,high,low,close,volume,dividends,splits\n2024-01-01,40,40,40,40,1,0,0\n"
        "2024-01-02,10,10,10,10,4,0,4\n2024-01-03,9,9,9,9,4,1,0\n"
    )
    done = finstage("ingest", str(path), "--symbol", "X")
    assert "prices are raw, and were adjusted for the 4:1 split of 2024-01-02" in done.stdout
    assert "adjusted closes: computed from the file's dividends" in done.stdout
    ((batch,),) = services.ingest.batches.values()
    assert list(batch.columns.close) == [10, 10, 9]
    assert list(batch.columns.volume) == [4, 4, 4]
    (report,) = finstage("ingest", str(path), "--symbol", "Y", "--json").json["files"]
    assert [(event["kind"], event["value"]) for event in report["events"]] == [
        ("dividends", 1),
        ("splits", 4),
    ]


def test_control_characters_of_a_file_never_reach_the_terminal(finstage: Run, tmp_path: Path) -> None:
    path = tmp_path / "b\x1b[31m.csv"
    path.write_text(
        "date,open,high,low,close,volume,x\x1b]0;owned\x07\n2024-01-01,1,1,1,1,1,1\n\x1b[2J\x9b31m,1,1,1,1,1,1\n"
    )
    done = finstage("ingest", str(path), "--symbol", "X")
    machine = finstage("ingest", str(path), "--symbol", "X", "--json")
    failed = finstage("ingest", str(tmp_path / "none\x1b[31m.csv"), "--symbol", "X")
    assert (done.code, failed.code) == (3, 1)
    for text in (done.stdout, done.stderr, machine.stdout, failed.stderr):
        assert all(c.isprintable() for c in text.replace("\n", ""))


def test_a_frame_in_any_order_is_sent_as_the_command_sends_a_file(services: Any, tmp_path: Path) -> None:
    index = pd.DatetimeIndex(["2024-01-04", "2024-01-03", "2024-01-02"], tz="Asia/Tokyo")
    frame = pd.DataFrame(
        {"open": 1.0, "high": 3.0, "low": 1.0, "close": [3.0, 2.0, 1.0], "volume": [5, None, 7]}, index
    )
    upload = Upload(
        frame,
        symbol="X",
        interval="1d",
        source="client:me",
        idempotency_key="k",
        adjusted_close=np.array([0.3, 0.2, 0.1]),
    )
    with Client(ingest=services.targets["ingest"]) as client:
        client.write(upload)
    ((batch,),) = services.ingest.batches.values()
    days = pd.to_datetime(list(batch.columns.open_time_ms), unit="ms")
    assert [f"{day:%Y-%m-%d %H:%M}" for day in days] == [
        "2024-01-02 00:00",
        "2024-01-03 00:00",
        "2024-01-04 00:00",
    ]
    assert list(batch.columns.close) == [1, 2, 3]
    assert list(batch.columns.volume) == [7, 0, 5]


def test_a_refused_row_of_a_frame_is_told_by_its_place_in_the_frame(target: str) -> None:
    index = pd.DatetimeIndex(["2024-01-04", "2024-01-03", "2024-01-02"], tz="UTC")
    frame = pd.DataFrame({"open": 1.0, "high": [0.5, 1, 1], "low": 1.0, "close": 1.0, "volume": 1.0}, index)
    upload = Upload(frame, symbol="X", interval="1d", source="client:me", idempotency_key="k")
    with Client(ingest=target) as client:
        assert [bar.row for bar in client.write(upload).rejected] == [0]

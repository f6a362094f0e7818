"""Bars brought into the running system by people: files, their rejected rows, and jobs."""

import re
from pathlib import Path

import pytest

from finstage_client import Client
from tests.e2e.running import System

ROWS = """date,open,high,low,close,volume
2024-01-02,10,11,9,10,5
2024-01-03,10,9,11,10,5
2024-01-04,11,12,10,12,-5
"""


def test_rejected_rows_of_a_file_are_listed_with_their_reasons(system: System, tmp_path: Path) -> None:
    path = tmp_path / "refused.csv"
    path.write_text(ROWS)
    done = system.command("ingest", str(path), "--symbol", "REFUSED", check=False)
    assert done.returncode == 3
    assert "3 rows: 1 inserted, 0 updated, 0 unchanged, 2 rejected" in done.stdout
    assert "line 3: HIGH_BELOW_LOW: high 9.0 is below low 11.0" in done.stdout
    listed = system.json("rejected", "--source", "file:refused.csv", "--symbol", "REFUSED")["rejected"]
    assert [(row["reason"], row["row"]) for row in listed] == [("NEGATIVE", 2), ("HIGH_BELOW_LOW", 1)]
    assert listed[0]["detail"] == "volume is -5.0; 0 or above is accepted"
    table = system.command("rejected", "--symbol", "REFUSED").stdout
    assert "HIGH_BELOW_LOW" in table
    assert re.search(r"row\b.*reason", table)
    with Client(ingest=system.ingest) as finstage:
        assert len(list(finstage.rejected_bars(symbol="REFUSED", interval="1d"))) == 2
        assert not list(finstage.rejected_bars(symbol="REFUSED", interval="1h"))


def test_a_file_is_written_again_after_other_data(system: System, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("date,open,high,low,close\n2024-01-02,1,1,1,1\n")
    second.write_text("date,open,high,low,close\n2024-01-02,2,2,2,2\n")
    for path in (first, second):
        system.command("ingest", str(path), "--symbol", "AGAIN")
    (before,) = system.json("ingest", str(first), "--symbol", "AGAIN")["files"]
    assert (before["written_before"], before["sent_now"], before["rows"]["inserted"]) == (1, 0, 1)
    (again,) = system.json("ingest", str(first), "--symbol", "AGAIN", "--again")["files"]
    assert (again["written_before"], again["sent_now"], again["rows"]["updated"]) == (0, 1, 1)


def test_the_mode_decides_whether_a_row_may_insert_or_update(system: System, tmp_path: Path) -> None:
    path = tmp_path / "mode.csv"
    path.write_text(ROWS)
    update = system.command("ingest", str(path), "--symbol", "MODE", "--mode", "update", check=False)
    assert update.returncode == 1
    assert "ABSENT" in update.stdout
    upsert = system.command("ingest", str(path), "--symbol", "MODE", check=False)
    assert (upsert.returncode, "1 inserted" in upsert.stdout) == (3, True)
    insert = system.command("ingest", str(path), "--symbol", "MODE", "--mode", "insert", check=False)
    assert "CONFLICT" in insert.stdout
    wrong = system.command("ingest", str(path), "--symbol", "MODE", "--mode", "append", check=False)
    assert (wrong.returncode, "append" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(system: System, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(ROWS)
    bad.write_text("x,y\n1,2\n")
    done = system.command("ingest", str(bad), str(good), "--symbol", "BOTH", check=False)
    assert done.returncode == 1
    assert "bad.csv" in done.stderr
    assert "1 inserted" in done.stdout


def test_a_job_is_followed_by_its_id_and_an_ended_one_cannot_be_cancelled(system: System) -> None:
    made = system.json("backfill", "QQQ", "-i", "1w")["job"]
    assert made["state"] == "SUCCEEDED"
    assert system.json("job", made["id"])["job"] == made
    cancel = system.command("job", made["id"], "--cancel", check=False)
    assert cancel.returncode == 1
    assert made["id"] in cancel.stderr
    unknown = system.command("backfill", "--universe", "nobody", check=False)
    assert (unknown.returncode, "nobody" in unknown.stderr) == (2, True)


def test_the_guide_s_program_does_what_it_says(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/bringing-data-in.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (promised,) = re.findall(r"# (RowCounts.*)", program)
    exec(program.replace("Client()", f"Client(ingest={system.ingest!r})"), {})
    assert capsys.readouterr().out.strip() == promised

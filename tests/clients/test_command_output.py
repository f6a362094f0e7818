"""How the command's output looks where it goes: pipes, narrow terminals, readers that leave early."""

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from finstage_client.cli.tables import Column, lines

FINSTAGE = (sys.executable, "-m", "finstage_client")
BOXES = "┏┃│┡└─━"


@pytest.fixture
def environment(services: Any) -> dict[str, str]:
    targets = {f"FINSTAGE_{name.upper()}_TARGET": target for name, target in services.targets.items()}
    return os.environ | targets | {"TERM": "xterm", "NO_COLOR": "1"}


def in_a_terminal(*arguments: str, columns: int, environment: dict[str, str]) -> str:
    """What the command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([*FINSTAGE, *arguments], env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            read = os.read(ours, 65_536)
        except OSError:  # Linux: the other end is closed
            break
        if not read:
            break
        output += read
    os.close(ours)
    assert process.wait(60) == 0, output
    return output.decode().replace("\r\n", "\n")


def test_a_pipe_gets_aligned_text_without_boxes(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*FINSTAGE, "bars", "AAPL", "--limit", "3"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    title, names, *rows = done.stdout.splitlines()
    assert title == "AAPL 1d USD"
    assert names.split() == ["open", "time", "(UTC)", "open", "high", "low", "close", "volume"]
    assert rows[0].split() == ["2024-02-27", "107.5498", "108.5498", "106.5498", "107.5498", "19.0000"]
    assert len({len(line) for line in (names, *rows[:3])}) == 1
    assert not set(BOXES) & set(done.stdout)


@pytest.mark.parametrize("columns", [30, 80])
def test_a_narrow_terminal_gets_every_price_whole(columns: int, environment: dict[str, str]) -> None:
    shown = in_a_terminal("quote", "AAPL", columns=columns, environment=environment)
    for cell in (
        "189.98",
        "+1.05%",
        "187.25",
        "191.50",
        "123,456,789",
        "2024-02-29 09:46:40",
        "simulated data",
    ):
        assert cell in shown
    shown = in_a_terminal("bars", "AAPL", "--limit", "2", columns=columns, environment=environment)
    for cell in ("107.6158", "108.6158", "106.6158", "107.6811", "2024-02-28", "2024-02-29"):
        assert cell in shown
    assert "…" not in shown


def test_a_narrow_terminal_gets_job_ids_whole(environment: dict[str, str]) -> None:
    shown = in_a_terminal("jobs", columns=80, environment=environment)
    assert "682f399cbe0e45f2865f0d4bb3e803e9" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_reader_that_leaves_early_ends_the_command_quietly(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for arguments in ("bars LONG --limit all", "bars LONG --limit all --json"):
        command = " ".join(FINSTAGE)
        script = f"{command} {arguments} | head -c 100; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert (done.stdout.splitlines()[-1][-1], done.stderr) == ("0", "")


def test_a_table_that_is_too_wide_continues_below_with_its_first_column() -> None:
    columns = [Column("symbol", ["AAPL"]), *(Column(f"c{i}", ["1234567890"], right=True) for i in range(4))]
    assert list(lines(columns, 32)) == [
        "symbol          c0          c1",
        "AAPL    1234567890  1234567890",
        "",
        "symbol          c2          c3",
        "AAPL    1234567890  1234567890",
    ]
    assert len(list(lines(columns, None))) == 2


def test_a_cell_that_is_wider_than_the_terminal_is_not_cut() -> None:
    shown = list(lines([Column("a", ["x" * 50]), Column("b", ["y" * 60])], 20))
    assert any("x" * 50 in line for line in shown)
    assert any("y" * 60 in line for line in shown)


def test_words_are_folded_and_numbers_are_not() -> None:
    columns = [
        Column("name", ["sma"]),
        Column("title", ["a simple moving average of prices"], text=True),
        Column("n", ["29"], right=True),
    ]
    assert list(lines(columns, 30)) == [
        "name  title               n",
        "sma   a simple moving    29",
        "      average of prices",
    ]


def test_wide_characters_are_aligned_and_control_characters_are_not_written() -> None:
    shown = list(lines([Column("a", ["日本", "x\x1b[31m"]), Column("b", ["1", "2"])], None))
    assert shown == ["a       b", "日本    1", "x?[31m  2"]

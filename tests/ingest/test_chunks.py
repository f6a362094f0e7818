"""The number of rows in one commit, and the memory figures that it depends on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.writing.chunks import MAX_ROWS, TARGET_S, first_rows, memory_used, next_rows


@pytest.mark.parametrize(
    ("used", "rows"),
    [(0.81, 500), (0.80, 1000), (0.65, 1000), (0.50, 1000), (0.49, 2000), (0.0, 2000), (None, 1000)],
)
def test_the_first_commit_is_by_the_memory_in_use(used: float | None, rows: int) -> None:
    assert first_rows(used) == rows


def test_it_doubles_while_commits_are_quick_and_there_is_enough_to_write() -> None:
    assert next_rows(2000, written=2000, took_s=TARGET_S / 3, memory_used=0.1) == 4000
    assert next_rows(2000, written=100, took_s=0.001, memory_used=0.1) == 2000
    assert next_rows(2000, written=2000, took_s=TARGET_S * 0.7, memory_used=0.1) == 2000


def test_it_shrinks_to_what_the_time_allows_for() -> None:
    assert next_rows(8000, written=8000, took_s=TARGET_S * 4, memory_used=0.1) == 2000


def test_memory_that_runs_out_makes_it_small_at_once() -> None:
    assert next_rows(MAX_ROWS, written=MAX_ROWS, took_s=0.01, memory_used=0.9) == 500
    assert next_rows(MAX_ROWS, written=MAX_ROWS, took_s=0.01, memory_used=0.6) == MAX_ROWS // 5


@given(
    st.integers(500, MAX_ROWS),
    st.integers(0, 2 * MAX_ROWS),
    st.floats(0, 100),
    st.none() | st.floats(0, 1),
)
def test_it_is_always_within_its_bounds(rows: int, written: int, took_s: float, used: float | None) -> None:
    assert 500 <= next_rows(rows, written=written, took_s=took_s, memory_used=used) <= MAX_ROWS


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


MACHINE = {"proc/meminfo": "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    250 kB\n"}


def test_memory_is_the_control_group_s_where_it_has_a_limit(tmp_path: Path) -> None:
    group = {
        "sys/fs/cgroup/memory.current": "800\n",
        "sys/fs/cgroup/memory.max": "1000\n",
        "sys/fs/cgroup/memory.stat": "anon 500\ninactive_file 300\n",
    }
    assert memory_used(files(tmp_path, MACHINE | group)) == 0.5
    files(tmp_path, {"sys/fs/cgroup/memory.max": "max\n"})
    assert memory_used(tmp_path) == 0.75, "no limit: the machine's"


def test_memory_of_a_control_group_of_the_first_kind(tmp_path: Path) -> None:
    group = {
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "900",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    }
    assert memory_used(files(tmp_path, MACHINE | group)) == 0.9
    files(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)})
    assert memory_used(tmp_path) == 0.75


def test_memory_that_cannot_be_known(tmp_path: Path) -> None:
    assert memory_used(tmp_path) is None
    used = memory_used()
    assert used is None or 0 <= used <= 1

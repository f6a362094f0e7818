"""The number of rows per commit, by the memory in use and by the time of the last commit.

More rows per commit are written faster, but wait longer and need more memory. The first commit has 500 rows
when over 80 % of the memory is in use, 2,000 when less than 50 % is, else 1,000. From there on the size
follows the time: it doubles while a commit takes less than half of TARGET_S, and shrinks in proportion when a
commit takes longer than TARGET_S.
"""

from pathlib import Path

TARGET_S = 0.25
HIGH_MEMORY, LOW_MEMORY = 0.80, 0.50
MAX_ROWS = 200_000
_MIN_ROWS = 500


def first_rows(memory_used: float | None) -> int:
    """Return the size of the first commit. memory_used: the share of memory in use, 0 to 1; None: unknown."""
    if memory_used is None:
        return 1000
    if memory_used > HIGH_MEMORY:
        return _MIN_ROWS
    return 2000 if memory_used < LOW_MEMORY else 1000


def next_rows(rows: int, *, written: int, took_s: float, memory_used: float | None) -> int:
    """Return the size of the next commit.

    Args:
        rows: the size aimed at so far.
        written: rows of the last commit.
        took_s: how long that commit took.
    """
    if memory_used is not None and memory_used > HIGH_MEMORY:
        return _MIN_ROWS
    if took_s > TARGET_S:
        wanted = int(written * TARGET_S / took_s)
    elif took_s < TARGET_S / 2 and written >= rows:
        wanted = 2 * rows
    else:
        wanted = rows
    max_rows = MAX_ROWS if memory_used is not None and memory_used < LOW_MEMORY else MAX_ROWS // 5
    return max(_MIN_ROWS, min(wanted, max_rows))


def memory_used(root: Path = Path("/")) -> float | None:
    """Return the share of this process's memory that is in use, 0 to 1; None: it cannot be known.

    It is the share of the control group (version 2, then 1) where one has a limit, else of the machine.
    Memory that only caches files counts as free.
    """
    for group, current, limit, cached in _GROUPS:
        folder = root / group
        total = _number(folder / limit)
        used = _number(folder / current)
        if total is not None and used is not None and total < _MIN_UNLIMITED:
            return max(0, used - _field(folder / "memory.stat", cached)) / total
    machine = root / "proc/meminfo"
    installed = _field(machine, "MemTotal:")
    return 1 - _field(machine, "MemAvailable:") / installed if installed else None


_GROUPS = (
    ("sys/fs/cgroup", "memory.current", "memory.max", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
)
# A limit from this on means that there is none.
_MIN_UNLIMITED = 2**60


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(parts[1]) for line in lines if (parts := line.split())[:1] == [name]), 0)

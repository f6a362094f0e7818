"""How many rows go into one commit: by the memory in use, and by the time that the last commit took.

More rows a commit write faster and wait longer; fewer hold less memory. The sizes to begin with are 500 rows
with over 80 % of the memory in use, 2,000 under 50 %, and 1,000 between. From there on the size follows
the time: it doubles while a commit takes less than half of TARGET_S, and shrinks in proportion when it takes
longer.
"""

from pathlib import Path

TARGET_S = 0.25
HIGH_MEMORY, LOW_MEMORY = 0.80, 0.50
MAX_ROWS = 200_000
_MIN_ROWS = 500


def first_rows(memory_used: float | None) -> int:
    """The size to begin with. memory_used: the part of the memory in use, 0 to 1; None: not known."""
    if memory_used is None:
        return 1000
    if memory_used > HIGH_MEMORY:
        return _MIN_ROWS
    return 2000 if memory_used < LOW_MEMORY else 1000


def next_rows(rows: int, *, written: int, took_s: float, memory_used: float | None) -> int:
    """The size of the next commit.

    Args:
        rows: the size aimed at so far.
        written: rows of the last commit.
        took_s: how long it took.
    """
    if memory_used is not None and memory_used > HIGH_MEMORY:
        return _MIN_ROWS
    if took_s > TARGET_S:
        wanted = int(written * TARGET_S / took_s)
    elif took_s < TARGET_S / 2 and written >= rows:
        wanted = 2 * rows
    else:
        wanted = rows
    most = MAX_ROWS if memory_used is not None and memory_used < LOW_MEMORY else MAX_ROWS // 5
    return max(_MIN_ROWS, min(wanted, most))


def memory_used(root: Path = Path("/")) -> float | None:
    """The part of the memory in use that this process may have, 0 to 1; None where it cannot be known.

    Of the control group (version 2, then 1) where there is one with a limit, else of the machine. Memory
    that only caches files counts as free.
    """
    for group, current, limit, cached in _GROUPS:
        folder = root / group
        most = _number(folder / limit)
        used = _number(folder / current)
        if most is not None and used is not None and most < _UNLIMITED:
            return max(0, used - _field(folder / "memory.stat", cached)) / most
    machine = root / "proc/meminfo"
    total = _field(machine, "MemTotal:")
    return 1 - _field(machine, "MemAvailable:") / total if total else None


_GROUPS = (
    ("sys/fs/cgroup", "memory.current", "memory.max", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
)
_UNLIMITED = 2**60


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

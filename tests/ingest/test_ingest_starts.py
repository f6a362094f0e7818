"""Messages when ingest cannot start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://127.0.0.1:1/main", "Connection refused"),
        ("postgresql://127.0.0.1:1/main?foo=bar", 'invalid connection option "foo"'),
        ("sqlite:///{folder}/file/finstage.db", "file: File exists"),
        ("sqlite:///{folder}/file", "file is not a database"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_that_names_the_variable(
    tmp_path: Path, url: str, why: str
) -> None:
    (tmp_path / "file").write_text("no database\n" * 1000)
    done = subprocess.run(
        [sys.executable, "-m", "services.ingest"],
        env=os.environ | {"FINSTAGE_DATABASE_URL": url.format(folder=tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "alembic" not in line]
    assert line.startswith("FINSTAGE_DATABASE_URL: ")
    assert why in line

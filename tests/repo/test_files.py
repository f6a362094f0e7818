"""Rules for every file of the repository: length, name, and no trace of one machine."""

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MAX_LINES = 400
# Folders and package indexes differ from machine to machine.
OF_ONE_MACHINE = re.compile(r"(?<![\w.}])/(work|root|home|Users|mnt|private)/[\w.]")
PACKAGE_INDEX = re.compile(
    r"index-url|trusted-host|find-links|pypi\.org|pythonhosted|/simple\b|https?://[^/\s]*@"
)
SET_UP = (
    "constraints.txt",
    "Makefile",
    "pyproject.toml",
    "docker-compose.yml",
    ".github/",
    ".pre-commit-config.yaml",
)


def files(*endings: str) -> list[Path]:
    """Return the files that Git knows, including those not yet committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    return [REPO / name for name in listed.splitlines() if name.endswith(endings) and (REPO / name).is_file()]


def names(paths: list[Path]) -> list[str]:
    return sorted(str(path.relative_to(REPO)) for path in paths)


def test_no_production_file_passes_400_lines() -> None:
    production = [
        path
        for path in files(".py")
        if "tests" not in path.relative_to(REPO).parts and "_pb2" not in path.name
    ]
    assert len(production) > 100
    assert names([path for path in production if len(path.read_text().splitlines()) > MAX_LINES]) == []


def test_no_file_has_a_vague_name() -> None:
    vague = re.compile(r"(utils?|commons?|helpers?|misc|manager\d*)", re.IGNORECASE)
    assert (
        names([path for path in files("") if vague.fullmatch(path.stem) or vague.fullmatch(path.parent.name)])
        == []
    )


@pytest.mark.parametrize("text", ["see /home/me/x", "cd /work/x", "'/root/.cache'"])
def test_a_path_of_one_machine_is_recognised(text: str) -> None:
    assert OF_ONE_MACHINE.search(text)


def test_no_text_names_a_path_of_one_machine() -> None:
    texts = files(".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".proto", ".sh", "Makefile", "Dockerfile")
    found = {
        f"{path.relative_to(REPO)}: {match[0]}"
        for path in texts
        if path != Path(__file__).resolve()
        for match in [OF_ONE_MACHINE.search(path.read_text())]
        if match
    }
    assert found == set()


def test_no_set_up_file_names_a_package_index() -> None:
    set_up = [
        p
        for p in files("")
        if str(p.relative_to(REPO)).startswith(SET_UP) or p.name in ("Dockerfile", "pyproject.toml")
    ]
    assert len(set_up) > 10
    assert names([path for path in set_up if PACKAGE_INDEX.search(path.read_text())]) == []

"""What the contracts promise of themselves."""

import itertools
import re
from pathlib import Path

import pytest

PROTOS = Path(__file__).resolve().parents[2] / "protos"
FILES = sorted(PROTOS.rglob("*.proto"))
DEFINITION = re.compile(
    r"^\s*(?:message|enum|service|rpc|oneof)\s+\w+"
    r"|^\s*(?:repeated |optional )?[\w.]+(?:<.*>)? \w+ = \d+;"
    r"|^\s*[A-Z]\w+ = \d+;"
)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_definition_has_a_comment(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith(("option", "syntax"))]
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines)
        if DEFINITION.match(line) and not before.strip().startswith("//")
    ]
    assert not bare


@pytest.mark.parametrize("file", [f for f in FILES if f.stem.endswith("_service")], ids=lambda f: f.stem)
def test_every_rpc_lists_its_errors(file: Path) -> None:
    text = file.read_text()
    for rpc in re.finditer(r"((?:  //[^\n]*\n)+)  rpc (\w+)", text):
        assert "Errors" in rpc.group(1), rpc.group(2)
        assert rpc.group(1).strip().startswith(f"// {rpc.group(2)} "), rpc.group(2)

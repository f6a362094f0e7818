"""The generated code that is committed is what the contracts generate."""

import subprocess
import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parents[2] / "protos"


def test_generated_code_is_what_the_contracts_generate(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PROTOS / "generate.py", tmp_path], check=True)
    fresh = {f.relative_to(tmp_path): f.read_bytes() for f in tmp_path.rglob("*_pb2*.py*")}
    committed = {
        f.relative_to(PROTOS): f.read_bytes()
        for f in PROTOS.rglob("*_pb2*.py*")
        if "__pycache__" not in f.parts
    }
    assert fresh.keys() == committed.keys(), "run `make generate`"
    changed = [str(name) for name in fresh if fresh[name] != committed[name]]
    assert not changed, f"run `make generate`: {changed}"

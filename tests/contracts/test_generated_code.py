"""The generated code that is committed is what the contracts generate."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

REPO = Path(__file__).resolve().parents[2]
PROTOS = REPO / "protos"
NODE, JAVA = REPO / "clients" / "node", REPO / "clients" / "java"
BUF = Path(sys.executable).with_name("buf")


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    found = (file for file in folder.rglob(pattern) if "__pycache__" not in file.parts)
    return {str(file.relative_to(folder)): file.read_bytes() for file in found if file.is_file()}


def check_equal(fresh: dict[str, bytes], committed: dict[str, bytes], command: str) -> None:
    assert fresh
    assert fresh.keys() == committed.keys(), f"run `{command}`"
    changed = [name for name in fresh if fresh[name] != committed[name]]
    assert not changed, f"run `{command}`: {changed}"


def test_the_python_code_is_what_the_contracts_generate(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PROTOS / "generate.py", tmp_path], check=True)
    pattern = "*_pb2*.py*"
    check_equal(contents(tmp_path, pattern), contents(PROTOS, pattern), "make generate")


def is_older(made: Path, *, than: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < than.stat().st_mtime


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make generate-clients` writes, under a folder of its own."""
    if missing := [tool for tool in ("go", "npm", "mvn") if shutil.which(tool) is None]:
        pytest.skip(f"there is no {', '.join(missing)} to generate the code of other languages with")
    if is_older(NODE / "node_modules", than=NODE / "package-lock.json"):
        subprocess.run(["npm", "ci", "--silent", "--prefix", NODE], check=True)
    if is_older(JAVA / "target" / "protoc", than=JAVA / "pom.xml"):
        subprocess.run(["mvn", "-q", "-B", "-f", JAVA / "pom.xml", "initialize"], check=True)
    for program in (JAVA / "target" / "protoc").iterdir():
        program.chmod(0o755)
    out = tmp_path_factory.mktemp("generated")
    for template in ("buf.gen.yaml", "clients/node/buf.gen.yaml"):
        command = [BUF, "generate", "--template", template, "-o", out]
        subprocess.run(command, cwd=REPO, check=True)
    return out


@pytest.mark.parametrize("language", ["go", "node"])
def test_the_code_of_other_languages_is_what_the_contracts_generate(generated: Path, language: str) -> None:
    folder = Path("clients") / language / "gen"
    check_equal(contents(generated / folder, "*"), contents(REPO / folder, "*"), "make generate-clients")


def test_java_code_takes_google_rpc_from_the_package_that_java_has_for_it(generated: Path) -> None:
    java = contents(generated / "clients" / "java" / "gen", "*.java")
    assert "dev/finstage/price/v1/PriceServiceGrpc.java" in java
    assert not [name for name in java if name.startswith("com/google")]
    assert b"com.google.rpc.Status" in java["dev/finstage/market/v1/QuoteResult.java"]


def test_a_descriptor_set_has_the_services_and_the_details_of_errors(tmp_path: Path) -> None:
    subprocess.run([BUF, "build", "-o", tmp_path / "finstage.binpb"], cwd=REPO, check=True)
    built = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "finstage.binpb").read_bytes())
    files = {file.name: file for file in built.file}
    assert {"google/rpc/error_details.proto", "google/api/annotations.proto"} <= files.keys()
    services = {f"{file.package}.{service.name}" for file in built.file for service in file.service}
    assert "finstage.price.v1.PriceService" in services

"""Generate the Python code of the contracts beside their .proto files.

python protos/generate.py            writes it there
python protos/generate.py FOLDER     writes it under FOLDER instead, for the drift test
"""

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
THIRD_PARTY = PROTOS.parent / "third_party"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(out: Path) -> None:
    """Write *_pb2.py, *_pb2.pyi and, for files with a service, *_pb2_grpc.py under `out`.

    Raises:
        RuntimeError: protoc found errors, which it printed.
    """
    sources = sorted(PROTOS.rglob("*.proto"))
    plain = ["protoc", f"-I{PROTOS}", f"-I{THIRD_PARTY}", f"-I{WELL_KNOWN}"]
    messages = [*plain, f"--python_out={out}", f"--pyi_out={out}", *map(str, sources)]
    services = [*plain, f"--grpc_python_out={out}", *(str(s) for s in sources if s.stem.endswith("_service"))]
    for arguments in (messages, services):
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS)

"""Writes the Python stubs beside the .proto files; ``--check`` only compares.

Run through ``make protos`` and ``make check``.
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.glob("lstmserve/*/*.proto"))


def generate(out: Path) -> None:
    plugins = ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            *(f"--{plugin}={out}" for plugin in plugins),
            *map(str, SOURCES),
        ]
    )
    if code:
        sys.exit(code)


def check() -> None:
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = sorted(path.relative_to(folder) for path in Path(folder).rglob("*_pb2*.py*"))
        committed = sorted(path.relative_to(ROOT) for path in ROOT.glob("lstmserve/*/*_pb2*"))
        stale = [
            path
            for path in fresh
            if not (ROOT / path).exists()
            or not filecmp.cmp(Path(folder) / path, ROOT / path, shallow=False)
        ]
        stale += [path for path in committed if path not in fresh]
    if stale:
        sys.exit(f"stale stubs: {', '.join(map(str, stale))}; run 'make protos'")
    print("stubs are fresh")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else generate(ROOT)

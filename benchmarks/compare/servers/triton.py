"""Starts the Triton server of the ``nvidia-pytriton`` wheel with a model of its python backend."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.compare.servers.child import run_until_told
from benchmarks.compare.servers.free_port import find_free_ports
from benchmarks.testbed.direct import DIRECT

PACKAGES = Path(sys.executable).parents[1] / "lib"
HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch-threads", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        server, libraries = unpack(place)
        make_repository(place / "models")
        http, grpc = find_free_ports(2)
        command = [str(server / "bin/tritonserver"), "--model-repository", str(place / "models")]
        command += ["--backend-directory", str(server / "backends"), "--allow-metrics", "false"]
        command += ["--http-address", "127.0.0.1", "--http-port", str(http)]
        command += ["--grpc-address", "127.0.0.1", "--grpc-port", str(grpc)]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "PYTHONPATH": f"{ROOT}:{_site_packages()}",
            "STOCK_TORCH_THREADS": str(arguments.torch_threads),
        }
        run_until_told(command, environment, lambda: _is_ready(http), f"127.0.0.1:{grpc}")


def unpack(place: Path) -> tuple[Path, Path]:
    """The server with the stub of this Python beside its backend; and its libraries."""
    packages = _site_packages()
    distribution = packages / "pytriton/tritonserver"
    server = place / "tritonserver"
    shutil.copytree(distribution, server, ignore=shutil.ignore_patterns("python_backend_stubs"))
    version = ".".join(platform.python_version_tuple()[:2])
    stub = distribution / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends/python")
    return server, packages / "nvidia_pytriton.libs"


def make_repository(models: Path) -> None:
    version = models / "stock/1"
    version.mkdir(parents=True)
    shutil.copy(HERE / "triton_config.pbtxt", models / "stock/config.pbtxt")
    shutil.copy(HERE / "triton_model.py", version / "model.py")


def _site_packages() -> Path:
    return Path(next(iter(PACKAGES.glob("python*/site-packages"))))


def _is_ready(http_port: int) -> bool:
    try:
        with DIRECT.open(f"http://127.0.0.1:{http_port}/v2/health/ready") as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


if __name__ == "__main__":
    main()

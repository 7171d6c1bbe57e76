"""Who is compared, and how each is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.dialects import TorchServeDialect, TritonDialect
from benchmarks.compare.environments import list_versions, prepare_environment
from benchmarks.load.dialect import Dialect, LstmserveDialect
from benchmarks.load.provenance import ROOT
from benchmarks.testbed.server import RunningServer, start_process, start_server

SERVERS = "benchmarks.compare.servers"


@dataclass(frozen=True)
class Contestant:
    """One server as it is configured; without requirements it runs in our environment."""

    name: str
    what: str
    program: Sequence[str] = ()
    requirements: Sequence[str] = ()
    environment: str = ""
    dialect: Dialect = field(default_factory=LstmserveDialect)


TORCHSERVE = ("torchserve==0.12.0", "torch-model-archiver==0.12.0", "tokenizers", "numpy")
TRITON = ("nvidia-pytriton==0.7.0", "tokenizers")

CONTESTANTS = (
    Contestant("lstmserve", "this project, as it comes"),
    Contestant(
        "tutorial",
        "grpcio tutorial service: threads, a Python loop per request, torch.multinomial",
        ("tutorial", "--threads", "8"),
    ),
    Contestant(
        "expert",
        "grpc.aio, uvloop, continuous batching, inverse-CDF sampler",
        ("expert",),
    ),
    Contestant(
        "torchserve-static",
        "TorchServe, static batches of up to 64, inverse-CDF sampler",
        ("torchserve", "--batching", "static"),
        TORCHSERVE,
        "torchserve",
        TorchServeDialect(),
    ),
    Contestant(
        "torchserve-async",
        "TorchServe, asynchronous worker that batches continuously, inverse-CDF sampler",
        ("torchserve", "--batching", "async"),
        TORCHSERVE,
        "torchserve",
        TorchServeDialect(),
    ),
    Contestant(
        "triton",
        "Triton (nvidia-pytriton's), python backend, continuous batching, inverse-CDF sampler",
        ("triton",),
        TRITON,
        "triton",
        TritonDialect(),
    ),
)


@contextmanager
def start_contestant(
    contestant: Contestant, folder: Path, arguments: Sequence[str]
) -> Iterator[RunningServer]:
    """Install it if need be and start it; the arguments are those of our own server.

    Raises UnavailableError or ProgramError.
    """
    if not contestant.program:
        with start_server(arguments) as server:
            yield server
        return
    python = find_python(contestant, folder)
    module, *rest = contestant.program
    command = [str(python), "-m", f"{SERVERS}.{module}", *rest]
    with start_process(command, {**os.environ, "PYTHONPATH": _search_path()}) as server:
        yield server


def find_python(contestant: Contestant, folder: Path) -> Path:
    if not contestant.requirements:
        return Path(sys.executable)
    return prepare_environment(folder, contestant.environment, contestant.requirements)


def find_versions(contestant: Contestant, folder: Path) -> Mapping[str, str]:
    """What it runs on besides our own packages."""
    if not contestant.requirements:
        return {}
    return list_versions(find_python(contestant, folder), contestant.requirements)


def _search_path() -> str:
    return os.pathsep.join((str(ROOT), str(ROOT / "protos")))

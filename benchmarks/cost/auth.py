"""What it costs to know who calls: a kept reply, where callers have to be known and where not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import grpc

from benchmarks.load.findings import Finding
from benchmarks.load.grpc_transport import OPTIONS
from benchmarks.testbed.server import start_server
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash

KEPT = ("--cache-threshold", "1", "--log-level", "WARNING")
REQUEST = pb.GenerateReplyRequest(
    prompt="I want to cancel my order", sampling=pb.SamplingParams(temperature=0)
)
WARM_UP_CALLS = 500


@dataclass
class Server:
    """One that runs, and how long calls on it took."""

    name: str
    stub: GenerationServiceStub
    metadata: tuple[tuple[str, str], ...]
    seconds: list[float] = field(default_factory=list)

    def call(self) -> float:
        started_at = perf_counter()
        self.stub.GenerateReply(REQUEST, metadata=self.metadata)
        return perf_counter() - started_at


def compare_callers(
    sizes: Sequence[int], blocks: int, calls: int, arguments: Sequence[str]
) -> list[Finding]:
    """Let servers take turns, so that a busy moment of the machine meets each of them.

    ``sizes`` are how many principals each server's file has.
    """
    with ExitStack() as stack:
        servers = [stack.enter_context(_start(size, arguments)) for size in (0, *sizes)]
        for server in servers:
            for _ in range(WARM_UP_CALLS):
                server.call()
        for _ in range(blocks):
            for server in servers:
                server.seconds += [server.call() for _ in range(calls)]
    return [*_describe(servers)]


def _describe(servers: Sequence[Server]) -> Iterator[Finding]:
    without = median(servers[0].seconds)
    for server in servers:
        yield Finding(server.name, 1e3 * median(server.seconds), "ms")
    for server in servers[1:]:
        yield Finding(f"{server.name}: more", 1e6 * (median(server.seconds) - without), "µs")
        yield Finding(f"{server.name}: ratio", median(server.seconds) / without, "")


@contextmanager
def _start(num_principals: int, arguments: Sequence[str]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path, token = Path(folder) / "callers.toml", make_token()
        name, options = "nobody has to be known", list[str]()
        if num_principals:
            path.write_text("".join(_write_entries(num_principals, token)), encoding="utf-8")
            name, options = f"{num_principals} principals", ["--auth-file", str(path)]
        running = stack.enter_context(start_server((*KEPT, *options, *arguments)))
        channel = stack.enter_context(grpc.insecure_channel(running.target, OPTIONS))
        yield Server(name, GenerationServiceStub(channel), (("authorization", f"Bearer {token}"),))


def _write_entries(count: int, token: str) -> Iterator[str]:
    """The caller is the last; both limits are looked at and never reached."""
    for number in range(count):
        own = token if number == count - 1 else make_token()
        yield (
            f'[[principals]]\nname = "p{number}"\nscopes = ["generate"]\n'
            f'tokens = ["{show_hash(hash_token(own))}"]\n'
            "requests_per_second = 1_000_000\nmax_concurrent = 1000\n"
        )

"""``python -m benchmarks.auth``: a kept reply, where callers have to be known and where not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import grpc
import typer

from benchmarks.load.findings import Finding, print_findings
from benchmarks.load.options import ServerArguments, parse_numbers
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


def run(
    server_arg: ServerArguments = None,
    principals: Annotated[str, typer.Option(help="Sizes of callers' files.")] = "1,100,1000",
    blocks: Annotated[int, typer.Option(min=1, help="Turns of each server.")] = 100,
    calls: Annotated[int, typer.Option(min=1, help="Of each turn.")] = 50,
) -> None:
    """Let servers take turns, so that a busy moment of the machine meets each of them."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_start("nobody has to be known", 0, server_arg or ()))]
        for number in map(int, parse_numbers(principals)):
            name = f"{number} principals"
            servers.append(stack.enter_context(_start(name, number, server_arg or ())))
        for server in servers:
            for _ in range(WARM_UP_CALLS):
                server.call()
        for _ in range(blocks):
            for server in servers:
                server.seconds += [server.call() for _ in range(calls)]
    print_findings({"a kept reply, unary, one caller, p50": [*_describe(servers)]})


def _describe(servers: Sequence[Server]) -> Iterator[Finding]:
    without = median(servers[0].seconds)
    for server in servers:
        yield Finding(server.name, 1e3 * median(server.seconds), "ms")
    for server in servers[1:]:
        yield Finding(f"{server.name}: more", 1e6 * (median(server.seconds) - without), "µs")
        yield Finding(f"{server.name}: ratio", median(server.seconds) / without, "")


@contextmanager
def _start(name: str, num_principals: int, arguments: Sequence[str]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path, token = Path(folder) / "callers.toml", make_token()
        options: tuple[str, ...] = ()
        if num_principals:
            path.write_text("".join(_write_entries(num_principals, token)), encoding="utf-8")
            options = ("--auth-file", str(path))
        running = stack.enter_context(start_server((*KEPT, *options, *arguments)))
        channel = stack.enter_context(grpc.insecure_channel(running.target))
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


def main() -> None:
    typer.run(run)

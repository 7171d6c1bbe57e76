"""Clients in the hands of a process that forks."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks.testbed.process import run_program
from support import forked_clients

if TYPE_CHECKING:
    from conftest import FakeServer

TEXT = "Hello [bold]you"
CRASHED = " ended by 11"
REFUSED = "refused: a Client that was used before a fork cannot be used in the child"
REFUSED_ASYNC = "refused: an AsyncClient was used before this process was forked"


def fork_with(kind: str, fake: FakeServer) -> dict[str, str]:
    """What each child found; the server's log of calls is that of all of them."""
    # as most have it: with a value of its own gRPC behaves otherwise
    env = {key: value for key, value in os.environ.items() if key != "GRPC_ENABLE_FORK_SUPPORT"}
    ended = run_program(
        [sys.executable, forked_clients.__file__, kind, fake.target],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return dict(line.split(": ", 1) for line in ended.stdout.splitlines())


def test_a_client_that_was_used_is_refused_in_a_child_and_goes_on_in_its_parent(
    fake: FakeServer,
) -> None:
    said = fork_with("Client", fake)
    assert said.pop("pool") == f"{TEXT * 2} {TEXT * 2}"
    assert (said.pop("unused"), said.pop("idle another")) == (TEXT, TEXT * 2)
    assert said.pop("parent") == f"{TEXT} {TEXT}"
    for harmless in ("leave its stream", "close", "end"):
        assert said.pop(harmless) == "None"
    assert {*said} == {"idle reply", "busy reply", "busy generate", "its next event"}
    assert all(each.startswith(REFUSED) for each in said.values()), said
    assert len(fake.requests) == 10


def test_no_asynchronous_client_is_used_in_a_child_after_another(fake: FakeServer) -> None:
    said = fork_with("AsyncClient", fake)
    assert (said.pop("unused"), said.pop("a Client")) == (TEXT, TEXT * 2)
    assert said.pop("parent") == f"{TEXT} {TEXT}"
    for harmless in ("leave its stream", "close", "end"):
        assert said.pop(harmless) == "None"
    assert {*said} == {"idle reply", "another", "its next event"}
    # gRPC itself ends some children by SIGSEGV when calls run in the parent (docs/client.md)
    assert all(each.startswith((REFUSED_ASYNC, CRASHED)) for each in said.values()), said
    assert said["idle reply"].startswith(REFUSED_ASYNC)

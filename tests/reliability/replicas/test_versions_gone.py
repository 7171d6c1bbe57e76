"""A replica is killed in the middle of a reply, and others serve other versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.endurance.replies import bits_of, learn
from benchmarks.endurance.watched import Watch, watched_client
from benchmarks.testbed.server import ServerProcess, replicas, targets_of
from lstmserve_client import (
    Chunk,
    Client,
    GenerateOptions,
    SamplingParams,
    StoppingCriteria,
    VersionGoneError,
)
from support.stores import copy_version

PROMPT = "hello"
# for the one that had it to come back
PATIENCE_SECONDS = 10.0
# more than a connection takes before somebody reads it
BULKY: GenerateOptions = {
    "sampling": SamplingParams(seed=7, logprobs=20),
    "stopping": StoppingCriteria(min_tokens=512, max_tokens=512),
}


@pytest.fixture(scope="module")
def newer_store(other_version: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has version 2 and nothing else."""
    store = tmp_path_factory.mktemp("newer")
    copy_version(other_version, store, "tiny", 2)
    return store


def read_until_tokens(events: Iterator[object]) -> None:
    while not isinstance(next(events), Chunk):
        pass


def test_a_reply_whose_version_no_replica_has_says_so(tiny_store: Path, newer_store: Path) -> None:
    with (
        replicas([tiny_store, newer_store]) as servers,
        Client(targets_of(servers)) as client,
    ):
        events = client.generate(PROMPT, timeout_seconds=PATIENCE_SECONDS, **BULKY)
        read_until_tokens(events)
        servers[0].kill()
        with pytest.raises(VersionGoneError) as gone:
            events.reply()
        assert 0 < gone.value.received_tokens < 512
        assert gone.value.resource == "tiny version 1"


def test_a_reply_goes_on_wherever_its_version_still_is(
    tiny_store: Path, newer_store: Path, server: ServerProcess
) -> None:
    """In the middle of a release: the next in turn has it no longer, the one after that has."""
    (question,) = learn(server.target, [(PROMPT, BULKY)])
    watch = Watch()
    with (
        replicas([tiny_store, newer_store, tiny_store]) as servers,
        watched_client(targets_of(servers), watch) as client,
    ):
        events = client.generate(PROMPT, **BULKY)
        read_until_tokens(events)
        servers[0].kill()
        assert bits_of(events.reply()) == question.expected
    assert watch.failures == {"UnavailableError": 1, "ModelNotFoundError": 1}

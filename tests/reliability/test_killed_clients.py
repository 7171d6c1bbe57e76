"""Clients that are killed in the middle of their streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.testbed.process import read_line, spawn
from lstmserve.v1 import generation_service_pb2 as pb
from support import leaving_client
from support.bystanders import NUM_CALLERS, Expected, bystanders
from support.footprint import files_until, settled
from support.metrics_page import scrape_until
from support.served import Served

NUM_CLIENTS = 3
NUM_STREAMS = 20
TESTS = Path(__file__).parents[1]
PATH = os.pathsep.join([str(TESTS), *sys.path])


@contextmanager
def streaming_client(target: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with many streams under way, which is killed in the end at the latest."""
    with spawn(
        [sys.executable, leaving_client.__file__, target, str(NUM_STREAMS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": PATH},
    ) as client:
        try:
            assert client.stdout is not None
            assert read_line(client.stdout) == leaving_client.READY
            yield client
        finally:
            client.kill()


def test_rows_of_killed_clients_are_freed_and_nothing_more_is_decoded_for_them(
    served: Served, expected: Expected
) -> None:
    """Clients killed with 60 streams under way: their rows and connections are freed at once,
    no token is decoded for them after that, and other callers' replies are the same.
    """
    before = settled(served)
    with bystanders(served.process.target, expected) as others, ExitStack() as clients:
        processes = [
            clients.enter_context(streaming_client(served.process.target))
            for _ in range(NUM_CLIENTS)
        ]
        others.replies()
        for process in processes:
            process.kill()
        scrape_until(
            served.process.metrics_url,
            lambda page: (
                page.total("cancel_seconds_count") == NUM_CLIENTS * NUM_STREAMS
                and page.total("running_sequences") <= NUM_CALLERS
                and page.total("parked_sequences") == 0
            ),
        )
        others.replies()
    freed = served.page_once_idle()
    reply = served.ask(pb.GenerateRequest(prompt="hello", sampling=pb.SamplingParams(seed=3)))
    last = served.page_once_idle()
    made = last.total("generated_tokens_total") - freed.total("generated_tokens_total")
    assert made == reply.generated_tokens
    assert last.total("wasted_tokens_total") == freed.total("wasted_tokens_total")
    after = files_until(served, lambda count: count <= before.files)
    assert after.threads <= before.threads

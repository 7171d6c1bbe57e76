"""A process that may open no more files."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.bystanders import Expected, bystanders
from support.calls import LONG, connect, read_all
from support.footprint import Footprint, files_until, settled
from support.raw_caller import open_socket
from support.served import Served
from support.whole_reply import whole_of

NUM_STREAMS = 4
NUM_CONNECTIONS = 40
NUM_SCRAPERS = 4
ROOM = 4


@contextmanager
def few_files(served: Served, room: int) -> Iterator[None]:
    """The server may open so many more files and no more."""
    pid = served.process.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = Footprint.of(served.process).files + room
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_running_streams_go_on_and_new_callers_are_served_once_there_is_room(
    served: Served, expected: Expected
) -> None:
    """With no file descriptor left, streams that run end exactly and those connected are
    served; who connects meanwhile waits, and is served as soon as others have left.
    """
    whole = served.ask(LONG)
    before = settled(served)
    with (
        connect(served.process.target, narrow=True) as channel,
        bystanders(served.process.target, expected) as others,
    ):
        streams = [GenerationServiceStub(channel).Generate(LONG) for _ in range(NUM_STREAMS)]
        first = [next(stream) for stream in streams]
        with few_files(served, ROOM), ExitStack() as crowd:
            for _ in range(NUM_CONNECTIONS):
                crowd.enter_context(open_socket(served.process.target))
            with connect(served.process.target) as late:
                reply = GenerationServiceStub(late).Generate(LONG, wait_for_ready=True)
                others.replies()
                for begin, stream in zip(first, streams, strict=True):
                    events, error = read_all(stream)
                    assert error is None
                    assert whole_of([begin, *events]) == whole
                crowd.close()
                assert whole_of(reply) == whole
    after = files_until(served, lambda count: count <= before.files)
    assert after.threads <= before.threads


def test_scrapers_wait_for_a_file_descriptor_and_are_answered(
    served: Served, expected: Expected
) -> None:
    """Scrapers that find no file descriptor left are answered when there is one again; those
    who ask for replies meanwhile get them.
    """
    url = urlsplit(served.process.metrics_url)
    settled(served)
    with bystanders(served.process.target, expected) as others, ExitStack() as stack:
        with few_files(served, 0):
            scrapers = [stack.enter_context(open_socket(url.netloc)) for _ in range(NUM_SCRAPERS)]
            for scraper in scrapers:
                scraper.sendall(f"GET {url.path} HTTP/1.0\r\n\r\n".encode())
            others.replies()
        for scraper in scrapers:
            assert scraper.recv(12).endswith(b"200")

"""Callers who have nothing to do with a fault, and hold every reply against the right one."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import connect
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary
from support.wire_requests import random_requests

Expected = Sequence[tuple[pb.GenerateRequest, WholeReply]]

NUM_CALLERS = 4
NUM_REQUESTS = 24
WAIT_SECONDS = 60.0
# between a reply and the next question: these are company, not a load
THINK_SECONDS = 0.02


class Bystanders:
    """So many callers of one server over one connection, streamed and unary by turns."""

    def __init__(self, stub: GenerationServiceStub, expected: Expected) -> None:
        self._stub = stub
        self._expected = expected
        self._changed = threading.Condition()
        self._num_replies = 0
        self.is_over = False

    def replies(self, count: int = 2 * NUM_CALLERS) -> None:
        """Until so many more have come, each the right one; raises what any caller met."""
        with self._changed:
            wanted = self._num_replies + count
            assert self._changed.wait_for(
                lambda: self.is_over or self._num_replies >= wanted, WAIT_SECONDS
            ), "bystanders wait for their replies"

    def call(self, number: int) -> None:
        """One of the callers, until it is over."""
        rng = random.Random(number)
        try:
            while not self.is_over:
                request, expected = rng.choice(self._expected)
                assert self._ask(request, unary=rng.random() < 0.5) == expected, request
                with self._changed:
                    self._num_replies += 1
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self.is_over, THINK_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def _ask(self, request: pb.GenerateRequest, *, unary: bool) -> WholeReply:
        if unary:
            return whole_of_unary(self._stub.GenerateReply(to_unary(request)))
        return whole_of(self._stub.Generate(request))


@contextmanager
def bystanders(target: str, expected: Expected) -> Iterator[Bystanders]:
    """Callers who have replies before the block begins and after what it did."""
    with connect(target) as channel, ThreadPoolExecutor(NUM_CALLERS) as pool:
        these = Bystanders(GenerationServiceStub(channel), expected)
        calls: list[Future[None]] = [pool.submit(these.call, n) for n in range(NUM_CALLERS)]
        try:
            these.replies()
            yield these
            these.replies()
        finally:
            these.stop()
        for call in calls:
            call.result(WAIT_SECONDS)


def undisturbed_replies(target: str) -> Expected:
    """Requests of all kinds, and what a server answers to whom nothing happens."""
    requests = random_requests(random.Random(5), NUM_REQUESTS)
    with connect(target) as channel:
        stub = GenerationServiceStub(channel)
        return [(request, whole_of(stub.Generate(request))) for request in requests]

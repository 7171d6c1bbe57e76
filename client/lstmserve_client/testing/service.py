"""The service that a test scripts and asks what it was asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Unpack

from lstmserve_client.async_client import AsyncClient
from lstmserve_client.client import Client
from lstmserve_client.config import DEFAULT_TARGET
from lstmserve_client.errors import LstmserveError, OverloadedError, UnavailableError
from lstmserve_client.keywords import ClientOptions
from lstmserve_client.testing.clock import FakeClock
from lstmserve_client.testing.faults import Fault
from lstmserve_client.testing.models import make_model
from lstmserve_client.testing.replies import FakeReply
from lstmserve_client.testing.requests import FakeRequest
from lstmserve_client.testing.server import FakeServer
from lstmserve_client.testing.transports import FakeAsyncTransport, FakeTransport
from lstmserve_client.types import Model, ServingStatus


class FakeService:
    """Answers real clients in memory; without a script a reply repeats the question.

        >>> service = FakeService({"hi": "Hello there."})
        >>> client = service.client()
        >>> client.reply("hi").text
        'Hello there.'
        >>> client.reply("bye").text
        'You said: bye'
        >>> [request.prompt for request in service.requests]
        ['hi', 'bye']

    It knows ``generate``, ``reply``, ``classify``, conversations, models and health; what
    administrators ask raises ServerError. Replies depend on the question alone, not on sampling
    or seed; stop sequences, ``max_tokens`` and ``logprobs`` are honored, and so is resuming.
    ``min_confidence``, ``variables`` and ``constraint`` are recorded and change nothing; of several
    replies there is the best alone. Safe to share between clients, threads and loops.
    """

    def __init__(
        self,
        replies: Mapping[str, str | FakeReply] | None = None,
        *,
        models: Iterable[Model] = (),
        clock: FakeClock | None = None,
    ) -> None:
        """``replies`` are those of questions; without ``models`` there is one, named "fake"."""
        self.clock = clock or FakeClock()
        self._replies = dict(replies or {})
        self._make_reply: Callable[[FakeRequest], str | FakeReply] = _repeat
        self._server = FakeServer(list(models) or [make_model()], self._answer, self.clock)

    def client(
        self, target: str | Sequence[str] = DEFAULT_TARGET, **options: Unpack[ClientOptions]
    ) -> Client:
        """A client of this service, whatever its targets; they are all one."""
        transport = FakeTransport(self._server)
        return Client(target, transport=transport, clock=self.clock, **options)

    def async_client(
        self, target: str | Sequence[str] = DEFAULT_TARGET, **options: Unpack[ClientOptions]
    ) -> AsyncClient:
        """As ``client``, for an event loop."""
        transport = FakeAsyncTransport(self._server)
        return AsyncClient(target, transport=transport, clock=self.clock, **options)

    def reply_to(self, text: str, reply: str | FakeReply) -> None:
        """Answer this question so: a prompt, or what the user says last in a conversation."""
        self._replies[text] = reply

    def answer_with(self, make_reply: Callable[[FakeRequest], str | FakeReply]) -> None:
        """Answer what no script names by this function. It may raise a LstmserveError.

        >>> service = FakeService()
        >>> service.answer_with(lambda request: request.text.upper())
        >>> service.client().reply("hi").text
        'HI'
        """
        self._make_reply = make_reply

    def fail_next(self, error: LstmserveError, times: int = 1) -> None:
        """Let the next calls fail with this error; every attempt of a client is one.

        >>> service = FakeService()
        >>> service.fail_next(UnavailableError("draining"), times=2)
        >>> service.client().reply("hi").text
        'You said: hi'
        >>> len(service.requests)
        3
        """
        self._server.faults.add(repeat(Fault(error=error), times))

    def overload(self, retry_delay_seconds: float | None = None, times: int = 1) -> None:
        """Let the next calls find the queue full, and be told when to come back.

        >>> service = FakeService()
        >>> service.overload(retry_delay_seconds=1.5)
        >>> service.client().reply("hi").text
        'You said: hi'
        >>> service.clock.waits
        [1.5]
        """
        error = OverloadedError(
            "the queue is full", reason="QUEUE_FULL", retry_delay_seconds=retry_delay_seconds
        )
        self.fail_next(error, times)

    def break_next(self, after_tokens: int, times: int = 1) -> None:
        """Let the next streams lose their connections after so many tokens of their own.

        >>> service = FakeService()
        >>> service.break_next(after_tokens=2)
        >>> "".join(service.client().generate("one two three").text)
        'You said: one two three'
        >>> [len(request.resume_tokens) for request in service.requests]
        [0, 1]
        """
        error = UnavailableError("the connection was lost")
        self._server.faults.add(repeat(Fault(error=error, after_tokens=after_tokens), times))

    def delay_next(self, seconds: float, times: int = 1) -> None:
        """Let the next calls take so long, by the clock of this service.

        >>> service = FakeService()
        >>> service.delay_next(5.0)
        >>> service.client().reply("hi", timeout_seconds=1.0)
        Traceback (most recent call last):
        lstmserve_client.errors.DeadlineExceededError: no reply within 1 s (timeout)
        """
        self._server.faults.add(repeat(Fault(delay_seconds=seconds), times))

    @property
    def requests(self) -> list[FakeRequest]:
        """Every attempt of ``generate`` and ``reply`` so far."""
        return self._server.requests

    @property
    def cancelled(self) -> list[FakeRequest]:
        """Those that were left before their end."""
        return self._server.cancelled

    @property
    def models(self) -> list[Model]:
        """What is served; change it to load and unload."""
        return self._server.models

    @property
    def status(self) -> ServingStatus:
        """What ``health`` tells; unless it is SERVING, other calls find no server."""
        return self._server.status

    @status.setter
    def status(self, status: ServingStatus) -> None:
        self._server.status = status

    def _answer(self, request: FakeRequest) -> FakeReply:
        reply = self._replies.get(request.text) or self._make_reply(request)
        return FakeReply(reply) if isinstance(reply, str) else reply


def _repeat(request: FakeRequest) -> str:
    return f"You said: {request.text}"

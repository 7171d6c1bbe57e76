"""The synchronous client: a thin shell over the parts that both clients share."""

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, Unpack

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import calls, methods
from lstmserve_client.administration import Administration
from lstmserve_client.affinity import Affinity, Request
from lstmserve_client.attempts import Attempts, Patience
from lstmserve_client.batches import Batches
from lstmserve_client.call import Call, make_call
from lstmserve_client.calls import UnaryCall
from lstmserve_client.clock import Clock
from lstmserve_client.config import DEFAULT_TARGET, make_config
from lstmserve_client.conversation import Conversation
from lstmserve_client.errors import (
    FieldViolation,
    LstmserveError,
    ModelNotFoundError,
    RequestCancelledError,
)
from lstmserve_client.forks import Owner
from lstmserve_client.grpc_transport import GrpcTransport
from lstmserve_client.keywords import (
    CallOptions,
    ClassifyOptions,
    ClientOptions,
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.latency import Exactness, Latencies
from lstmserve_client.race import race
from lstmserve_client.recording import Recording
from lstmserve_client.reply_stream import ReplyStream
from lstmserve_client.resume import ResumableReply
from lstmserve_client.signatures import spelled_out
from lstmserve_client.transport import Transport
from lstmserve_client.types import (
    Classification,
    Event,
    Message,
    Model,
    Prompt,
    Reply,
    ServingStatus,
    Turn,
)

Result = TypeVar("Result")
_FORKED = "a Client that was used before a fork cannot be used in the child: make another there"


class Client(Batches, Administration):
    """A connection to one server or several that serve the same, for threads; safe to share.

        with Client("127.0.0.1:50051") as client:
            for event in client.generate("Where is my order?"):
                ...

    Every method raises a ``LstmserveError`` for what goes wrong on the way, and ValueError for
    an option that makes no sense. ``timeout_seconds`` covers the whole call, from connecting to
    the last event, all attempts included.
    """

    @spelled_out
    def __init__(
        self,
        target: str | Sequence[str] = DEFAULT_TARGET,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Connect when first used.

        ``target`` is ``host:port`` or another gRPC target, whose addresses take turns if it has
        several, or a list of them, which do, too. ``transport`` and ``clock`` stand in for gRPC
        and for the machine's clock in tests. Raises ValueError naming the option that is wrong.
        """
        self._config = make_config(target, **options)
        self._owner = Owner(_FORKED)
        self._transport: Transport = transport or GrpcTransport(self._config, self._owner)
        self._clock = clock or Clock()
        self._patience = Patience.begin(
            self._config.retry, len(self._config.targets), self._clock.now
        )
        hedge = self._config.hedge
        self._latencies = Latencies(hedge) if hedge else None
        self._exactness = Exactness()
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._config.targets)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and cancel what still runs on them.

        In a forked child nothing happens: they are its parent's.
        """
        if not self._owner.is_elsewhere:
            self._closed.set()
            self._transport.close()

    @spelled_out
    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> ReplyStream:
        """Stream the reply: one Started, any number of Chunks, one Completion.

        The call begins with the first event asked for, and is cancelled when the iterator is
        closed or dropped before its end. A connection that breaks is not noticed: the stream
        goes on from another server, with the very tokens that were to come.

            >>> for piece in client.generate("Where is my order?").text:
            ...     print(piece, end="")
            On its way.
        """
        request = calls.generate_request(prompt, options)
        call = self._make_call(options, request)
        return ReplyStream(self._events(request, call))

    @spelled_out
    def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply:
        """Wait for the whole reply.

        >>> reply = client.reply("Where is my order?", seed=7)
        >>> reply.text, reply.started.seed, reply.completion.finish_reason.value
        ('On its way.', 7, 'end_of_text')

        ``best_of`` samples several side by side and gives the likeliest, ``num_replies`` the next
        ones as well: ``reply.alternatives``, each with its own seed.
        """
        asked = calls.reply(prompt, options)
        call = self._make_call(options, asked.request)
        reply = self._run(asked, call, self._exactness.allow(self._latencies, options))
        self._exactness.note(reply, options)
        return reply

    @spelled_out
    def classify(self, prompt: Prompt, **options: Unpack[ClassifyOptions]) -> Classification:
        """What a text or conversation is about, without a reply; the same as before one.

            >>> client.classify("It is late!").label
            Label(name='track_order', probability=0.9)

        Raises InvalidRequestError for a text that cannot be classified.
        """
        return calls.only(self.classify_many([prompt], **options))

    @spelled_out
    def classify_many(
        self, prompts: Sequence[Prompt], **options: Unpack[ClassifyOptions]
    ) -> list[Classification | FieldViolation]:
        """What each of up to 256 texts or conversations is about, in their order.

        What is wrong with one of them stands in its place.
        """
        asked = calls.classify_many(prompts, options)
        return self._run(asked, make_call(self._config, calls.call_options(options)))

    @spelled_out
    def conversation(
        self,
        turns: Sequence[Turn | Message] = (),
        *,
        max_turns: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> Conversation:
        """A chat that remembers its turns; ``options`` are those of all its replies.

        With ``max_turns``, an even number, the latest of them alone are kept and go with each
        question, fewer where those do not fit into the model. Without it all are kept.
        """
        calls.request_options(options)  # what is wrong with them is told now
        return Conversation(self, turns, options, max_turns)

    @spelled_out
    def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """Every model version the server knows, by name, newest version first.

        >>> [(model.name, model.version, model.state.value) for model in client.models()]
        [('fake', '1', 'ready')]
        """
        return self._run(calls.models(), make_call(self._config, options))

    @spelled_out
    def model(
        self, name: str = "", version: str | int = "", **options: Unpack[CallOptions]
    ) -> Model:
        """One model version; empty names stand for the server's defaults."""
        return self._run(calls.model(name, version), make_call(self._config, options))

    @spelled_out
    def health(self, service: str = "", **options: Unpack[CallOptions]) -> ServingStatus:
        """Whether a server, or one of its services, takes requests; of several targets, one
        that is next in turn.

            >>> client.health() is ServingStatus.SERVING
            True
        """
        call = make_call(self._config, options, is_retried=False, is_checked=False)
        try:
            return self._run(calls.health(service), call)
        except ModelNotFoundError:  # how Check tells an unknown service
            return ServingStatus.SERVICE_UNKNOWN

    def _administer(
        self, call: UnaryCall[Result], options: CallOptions, affinity: Affinity | None = False
    ) -> Result:
        self._config.check_single_target()
        key = self._config.affinity_key(affinity, call.request)
        once = make_call(self._config, options, is_retried=False, is_checked=False, affinity=key)
        return self._run(call, once)

    def _make_call(self, options: GenerateOptions, request: Request) -> Call:
        key = self._config.affinity_key(options.get("affinity"), request)
        return make_call(self._config, calls.call_options(options), affinity=key)

    def _run(
        self, asked: UnaryCall[Result], call: Call, latencies: Latencies | None = None
    ) -> Result:
        self._owner.claim()
        with (
            closing(Attempts(self._patience, call)) as attempts,
            Recording(attempts, asked.method) as recording,
        ):
            while True:
                try:
                    result = asked.read(self._ask(asked, attempts, latencies))
                except LstmserveError as error:
                    self._wait(attempts.after(error), call)
                else:
                    attempts.succeeded()
                    recording.saw(result)
                    finished: Result = asked.finish(result)
                    return finished

    def _ask(
        self, asked: UnaryCall[Result], attempts: Attempts, latencies: Latencies | None
    ) -> object:
        method, request, first = asked.method, asked.request, attempts.next()
        delay = latencies.hedge_seconds if latencies else None
        began = self._clock.now()
        if delay is None:
            response = self._transport.unary(method, request, first)
        else:
            begin = self._transport.begin
            response = race(
                lambda: begin(method, request, first),
                lambda: begin(method, request, beside) if (beside := attempts.beside()) else None,
                delay,
            )
        if latencies:
            latencies.add(self._clock.now() - began)
        return response

    def _events(self, request: pb.GenerateRequest, call: Call) -> Generator[Event, None, None]:
        self._owner.claim()
        reply = ResumableReply(request)
        with (
            closing(Attempts(self._patience, call)) as attempts,
            Recording(attempts, methods.GENERATE) as recording,
        ):
            while not reply.is_complete:
                try:
                    yield from self._receive(reply, attempts, recording)
                except LstmserveError as error:
                    if reply.survives(error):
                        break
                    seen, has_progressed = reply.describe(error), reply.has_progressed
                    wait = attempts.after(
                        seen, has_progressed=has_progressed, is_final=reply.is_final
                    )
                    self._wait(wait, call)
            attempts.succeeded()

    def _receive(
        self, reply: ResumableReply, attempts: Attempts, recording: Recording
    ) -> Generator[Event, None, None]:
        """What one connection brings of a reply."""
        stream = self._transport.stream(methods.GENERATE, reply.begin(), attempts.next())
        try:
            for message in stream:
                if (event := reply.accept(message)) is not None:
                    recording.saw(event)
                    yield event
            reply.end()
        finally:
            stream.cancel()

    def _wait(self, seconds: float, call: Call) -> None:
        if self._clock.wait(seconds, self._closed):
            raise RequestCancelledError("the client was closed", request_id=call.request_id)

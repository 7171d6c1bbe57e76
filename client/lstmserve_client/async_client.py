"""The asynchronous client: a thin shell over the parts that both clients share."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from types import TracebackType
from typing import Self, TypeVar, Unpack

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import calls, methods
from lstmserve_client.affinity import Affinity, Request
from lstmserve_client.async_administration import AsyncAdministration
from lstmserve_client.async_batches import AsyncBatches
from lstmserve_client.async_conversation import AsyncConversation
from lstmserve_client.async_race import race
from lstmserve_client.attempts import Attempts, Patience
from lstmserve_client.call import Call, make_call
from lstmserve_client.calls import UnaryCall
from lstmserve_client.clock import Clock
from lstmserve_client.config import DEFAULT_TARGET, make_config
from lstmserve_client.errors import FieldViolation, LstmserveError, ModelNotFoundError
from lstmserve_client.forks import Owner
from lstmserve_client.grpc_aio_transport import FORKED, GrpcAioTransport
from lstmserve_client.keywords import (
    CallOptions,
    ClassifyOptions,
    ClientOptions,
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.latency import Exactness, Latencies
from lstmserve_client.recording import Recording
from lstmserve_client.reply_stream import AsyncReplyStream
from lstmserve_client.resume import ResumableReply
from lstmserve_client.signatures import spelled_out
from lstmserve_client.transport import AsyncTransport
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


class AsyncClient(AsyncBatches, AsyncAdministration):
    """A connection to one server or several that serve the same, for one event loop: the
    methods of ``Client``, awaited.

        async with AsyncClient("127.0.0.1:50051") as client:
            async for event in client.generate("Where is my order?"):
                ...

        >>> asyncio.run(async_client.reply("Where is my order?")).text
        'On its way.'
    """

    @spelled_out
    def __init__(
        self,
        target: str | Sequence[str] = DEFAULT_TARGET,
        *,
        transport: AsyncTransport | None = None,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Connect when first used.

        ``target`` is ``host:port`` or another gRPC target, whose addresses take turns if it has
        several, or a list of them, which do, too. ``transport`` and ``clock`` stand in for gRPC
        and for the machine's clock in tests. Raises ValueError naming the option that is wrong.
        """
        self._config = make_config(target, **options)
        self._owner = Owner(FORKED)
        self._transport: AsyncTransport = transport or GrpcAioTransport(self._config, self._owner)
        self._clock = clock or Clock()
        self._patience = Patience.begin(
            self._config.retry, len(self._config.targets), self._clock.now
        )
        hedge = self._config.hedge
        self._latencies = Latencies(hedge) if hedge else None
        self._exactness = Exactness()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._config.targets)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections and cancel what still runs on them.

        In a forked child nothing happens: they are its parent's.
        """
        if not self._owner.is_elsewhere:
            await self._transport.close()

    @spelled_out
    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> AsyncReplyStream:
        """Stream the reply: one Started, any number of Chunks, one Completion.

        The call begins with the first event asked for, and is cancelled when the iterator is
        closed or dropped before its end. A connection that breaks is not noticed: the stream
        goes on from another server, with the very tokens that were to come.
        """
        request = calls.generate_request(prompt, options)
        call = self._make_call(options, request)
        return AsyncReplyStream(self._events(request, call))

    @spelled_out
    async def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply:
        """Wait for the whole reply."""
        asked = calls.reply(prompt, options)
        call = self._make_call(options, asked.request)
        reply = await self._run(asked, call, self._exactness.allow(self._latencies, options))
        self._exactness.note(reply, options)
        return reply

    @spelled_out
    async def classify(self, prompt: Prompt, **options: Unpack[ClassifyOptions]) -> Classification:
        """What a text or conversation is about, without a reply; the same as before one.

        Raises InvalidRequestError for a text that cannot be classified.
        """
        return calls.only(await self.classify_many([prompt], **options))

    @spelled_out
    async def classify_many(
        self, prompts: Sequence[Prompt], **options: Unpack[ClassifyOptions]
    ) -> list[Classification | FieldViolation]:
        """What each of up to 256 texts or conversations is about, in their order.

        What is wrong with one of them stands in its place.
        """
        asked = calls.classify_many(prompts, options)
        return await self._run(asked, make_call(self._config, calls.call_options(options)))

    @spelled_out
    def conversation(
        self,
        turns: Sequence[Turn | Message] = (),
        *,
        max_turns: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncConversation:
        """A chat that remembers its turns; ``options`` are those of all its replies.

        With ``max_turns``, an even number, the latest of them alone are kept and go with each
        question, fewer where those do not fit into the model. Without it all are kept.
        """
        calls.request_options(options)  # what is wrong with them is told now
        return AsyncConversation(self, turns, options, max_turns)

    @spelled_out
    async def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """Every model version the server knows, by name, newest version first."""
        return await self._run(calls.models(), make_call(self._config, options))

    @spelled_out
    async def model(
        self, name: str = "", version: str | int = "", **options: Unpack[CallOptions]
    ) -> Model:
        """One model version; empty names stand for the server's defaults."""
        return await self._run(calls.model(name, version), make_call(self._config, options))

    @spelled_out
    async def health(self, service: str = "", **options: Unpack[CallOptions]) -> ServingStatus:
        """Whether a server, or one of its services, takes requests; of several targets, one
        that is next in turn.
        """
        call = make_call(self._config, options, is_retried=False, is_checked=False)
        try:
            return await self._run(calls.health(service), call)
        except ModelNotFoundError:  # how Check tells an unknown service
            return ServingStatus.SERVICE_UNKNOWN

    async def _administer(
        self, call: UnaryCall[Result], options: CallOptions, affinity: Affinity | None = False
    ) -> Result:
        self._config.check_single_target()
        key = self._config.affinity_key(affinity, call.request)
        once = make_call(self._config, options, is_retried=False, is_checked=False, affinity=key)
        return await self._run(call, once)

    def _make_call(self, options: GenerateOptions, request: Request) -> Call:
        key = self._config.affinity_key(options.get("affinity"), request)
        return make_call(self._config, calls.call_options(options), affinity=key)

    async def _run(
        self, asked: UnaryCall[Result], call: Call, latencies: Latencies | None = None
    ) -> Result:
        self._owner.claim()
        with (
            closing(Attempts(self._patience, call)) as attempts,
            Recording(attempts, asked.method) as recording,
        ):
            while True:
                try:
                    result = asked.read(await self._ask(asked, attempts, latencies))
                except LstmserveError as error:
                    await self._clock.sleep(attempts.after(error))
                else:
                    attempts.succeeded()
                    recording.saw(result)
                    finished: Result = asked.finish(result)
                    return finished

    async def _ask(
        self, asked: UnaryCall[Result], attempts: Attempts, latencies: Latencies | None
    ) -> object:
        method, request, first = asked.method, asked.request, attempts.next()
        delay = latencies.hedge_seconds if latencies else None
        began = self._clock.now()
        if delay is None:
            response = await self._transport.unary(method, request, first)
        else:
            begin = self._transport.unary
            response = await race(
                lambda: begin(method, request, first),
                lambda: begin(method, request, beside) if (beside := attempts.beside()) else None,
                delay,
            )
        if latencies:
            latencies.add(self._clock.now() - began)
        return response

    async def _events(self, request: pb.GenerateRequest, call: Call) -> AsyncGenerator[Event, None]:
        self._owner.claim()
        reply = ResumableReply(request)
        with (
            closing(Attempts(self._patience, call)) as attempts,
            Recording(attempts, methods.GENERATE) as recording,
        ):
            while not reply.is_complete:
                try:
                    async with aclosing(self._receive(reply, attempts, recording)) as events:
                        async for event in events:
                            yield event
                except LstmserveError as error:
                    if reply.survives(error):
                        break
                    seen, has_progressed = reply.describe(error), reply.has_progressed
                    wait = attempts.after(
                        seen, has_progressed=has_progressed, is_final=reply.is_final
                    )
                    await self._clock.sleep(wait)
            attempts.succeeded()

    async def _receive(
        self, reply: ResumableReply, attempts: Attempts, recording: Recording
    ) -> AsyncGenerator[Event, None]:
        """What one connection brings of a reply."""
        stream = self._transport.stream(methods.GENERATE, reply.begin(), attempts.next())
        try:
            async for message in stream:
                if (event := reply.accept(message)) is not None:
                    recording.saw(event)
                    yield event
            reply.end()
        finally:
            stream.cancel()

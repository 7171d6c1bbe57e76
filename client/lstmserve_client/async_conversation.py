"""A chat that remembers what was said, for an event loop."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, Unpack

from lstmserve_client.errors import InvalidRequestError
from lstmserve_client.keywords import (
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.reply_stream import AsyncReplyStream
from lstmserve_client.signatures import spelled_out
from lstmserve_client.turns import Turns
from lstmserve_client.types import (
    Event,
    Message,
    Prompt,
    Reply,
    Turn,
)


class Generates(Protocol):
    """A client, as far as a conversation needs one."""

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> AsyncReplyStream: ...

    async def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply: ...


class AsyncConversation(Turns):
    """One chat, made by ``AsyncClient.conversation``. For one task at a time.

    A question that gets no whole reply leaves the conversation as it was.
    """

    def __init__(
        self,
        client: Generates,
        turns: Sequence[Turn | Message],
        options: RequestOptions,
        max_turns: int | None = None,
    ) -> None:
        super().__init__(turns, options, max_turns)
        self._client = client

    @spelled_out
    async def reply(self, text: str, **options: Unpack[WholeReplyOptions]) -> Reply:
        """Say something and wait for the whole reply."""
        asked, all_options = self._ask(text, options)
        while True:
            try:
                reply = await self._client.reply(asked, **all_options)
            except InvalidRequestError as error:
                asked = self._shorten(asked, error)
            else:
                self._remember(asked, reply.text)
                return reply

    @spelled_out
    def generate(self, text: str, **options: Unpack[GenerateOptions]) -> AsyncReplyStream:
        """Say something and stream the reply, which is remembered once it is complete."""
        asked, all_options = self._ask(text, options)
        stream = self._client.generate(asked, **all_options)
        return AsyncReplyStream(self._events(asked, stream, all_options))

    async def _events(
        self, asked: Sequence[Turn], stream: AsyncReplyStream, options: GenerateOptions
    ) -> AsyncGenerator[Event, None]:
        while True:
            try:
                async with stream:
                    async for event in stream:
                        yield event
            except InvalidRequestError as error:
                asked = self._shorten(asked, error)
                stream = self._client.generate(asked, **options)
            else:
                self._remember(asked, (await stream.reply()).text)
                return

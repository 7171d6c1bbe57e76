"""A chat that remembers what was said."""

from collections.abc import Generator, Sequence
from typing import Protocol, Unpack

from lstmserve_client.errors import InvalidRequestError
from lstmserve_client.keywords import (
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.reply_stream import ReplyStream
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

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> ReplyStream: ...

    def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply: ...


class Conversation(Turns):
    """One chat, made by ``Client.conversation``. For one thread at a time.

    A question that gets no whole reply leaves the conversation as it was.

        >>> chat = client.conversation()
        >>> chat.reply("Where is my order?").text
        'On its way.'
        >>> chat.turns
        (Turn(role='user', text='Where is my order?'), Turn(role='agent', text='On its way.'))
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
    def reply(self, text: str, **options: Unpack[WholeReplyOptions]) -> Reply:
        """Say something and wait for the whole reply."""
        asked, all_options = self._ask(text, options)
        while True:
            try:
                reply = self._client.reply(asked, **all_options)
            except InvalidRequestError as error:
                asked = self._shorten(asked, error)
            else:
                self._remember(asked, reply.text)
                return reply

    @spelled_out
    def generate(self, text: str, **options: Unpack[GenerateOptions]) -> ReplyStream:
        """Say something and stream the reply, which is remembered once it is complete."""
        asked, all_options = self._ask(text, options)
        stream = self._client.generate(asked, **all_options)
        return ReplyStream(self._events(asked, stream, all_options))

    def _events(
        self, asked: Sequence[Turn], stream: ReplyStream, options: GenerateOptions
    ) -> Generator[Event, None, None]:
        while True:
            try:
                with stream:
                    yield from stream
            except InvalidRequestError as error:
                asked = self._shorten(asked, error)
                stream = self._client.generate(asked, **options)
            else:
                self._remember(asked, stream.reply().text)
                return

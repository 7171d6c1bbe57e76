"""What the wire promises of one reply, checked without I/O: Started, Chunks, Completion."""

from collections.abc import Sequence

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import convert
from lstmserve_client.errors import BrokenReplyError
from lstmserve_client.types import Chunk, Classification, Completion, Event, Reply, Started


class EventOrder:
    """Follows one stream and raises BrokenReplyError where it breaks the promised order."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self.is_complete = False

    @property
    def request_id(self) -> str | None:
        """The server's name for this request, once it is known."""
        return (self._started.request_id or None) if self._started else None

    def accept(self, message: pb.GenerateResponse) -> Event | None:
        """The message's event; ``None`` for a kind that only newer clients know."""
        event = convert.event(message)
        if event is None:
            return None
        if self.is_complete:
            raise self._broken("an event came after the completion")
        if isinstance(event, Started) is (self._started is not None):
            raise self._broken("the started event must come first, and once")
        if isinstance(event, Started):
            self._started = event
        self.is_complete = isinstance(event, Completion)
        return event

    def end(self) -> None:
        """The stream ended with OK."""
        if not self.is_complete:
            raise self._broken("the stream ended without a completion")

    def _broken(self, what: str) -> BrokenReplyError:
        return BrokenReplyError(f"broken reply: {what}", request_id=self.request_id)


def whole_reply(message: pb.GenerateReplyResponse) -> Reply:
    """The unary reply; raises BrokenReplyError where a part of it is missing."""
    reply = convert.reply(message)
    if not (message.HasField("started") and message.HasField("completion")):
        raise BrokenReplyError(
            "broken reply: it lacks how it started or how it ended",
            request_id=reply.started.request_id or None,
        )
    return reply


def join(events: Sequence[Event]) -> Reply:
    """The whole reply that the events of one complete stream make up."""
    [started] = [event for event in events if isinstance(event, Started)]
    [completion] = [event for event in events if isinstance(event, Completion)]
    chunks = [event for event in events if isinstance(event, Chunk)]
    found = (event for event in events if isinstance(event, Classification))
    return Reply(
        text="".join(chunk.text for chunk in chunks),
        token_ids=tuple(token_id for chunk in chunks for token_id in chunk.token_ids),
        logprobs=tuple(logprobs for chunk in chunks for logprobs in chunk.logprobs),
        started=started,
        completion=completion,
        classification=next(found, None),
    )

"""What a client tells of each call when it has ended: a value for metrics, logs or tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lstmserve_client.types import Completion, Started


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call that has ended, over all of its attempts.

    >>> client = service.client(on_call_end=lambda record: print(record.method, record.error))
    >>> client.reply("Where is my order?").text
    GenerateReply None
    'On its way.'
    """

    method: str  # its name on the wire, such as "Generate" or "Classify"
    request_id: str
    target: str  # that was asked last, of two copies the first; empty where none was
    num_attempts: int  # 1 where nothing went wrong; second copies count
    duration_seconds: float  # for a stream until its last event was taken, or it was left
    first_chunk_seconds: float | None  # of streams, where some text or token came
    started: Started | None  # of replies: model, version, seed, cache
    completion: Completion | None  # of whole replies: finish reason, outcome, labels, usage
    generated_tokens: int  # of all replies that came whole: with num_replies more than one
    error: Exception | None  # that the caller got
    was_canceled: bool  # the caller left before the end


Observer: TypeAlias = Callable[[CallRecord], object]
"""What is told of each call, by the thread that ends it: it must be quick, and safe to share."""

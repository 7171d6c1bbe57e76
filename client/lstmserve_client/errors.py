"""What can go wrong with a request.

    LstmserveError
    ├── InvalidRequestError       a field is wrong: see its violations
    ├── ModelNotFoundError        no such model or version
    │   └── VersionGoneError      the version that began a reply is no longer served
    ├── ModelStateError           a version cannot be loaded, or cannot go
    ├── NotCachedError            only a cached reply was wanted, and there is none
    ├── OverloadedError           too many requests: try again after the delay
    ├── UnavailableError          no server, or one that is loading or draining
    ├── DeadlineExceededError     the reply did not come, or could not come, in time
    ├── UnauthenticatedError      no credentials, or wrong ones
    ├── PermissionDeniedError     the credentials do not allow this
    ├── ResumeError               the reply cannot go on from where it was
    ├── RequestCancelledError     the call was cancelled before it ended
    ├── BrokenReplyError          the server broke the order of events it promises
    ├── UnreadableReplyError      the reply keeps its schema, and the schema's class refuses it
    └── ServerError               the server failed, or does not know the method
        └── PoisonedRequestError  working on this request ends engines: do not repeat it

The texts are the server's where it gave one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstmserve_client.types import Reply


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: its path in the request, such as ``sampling.top_p``, and why."""

    field: str
    description: str


class LstmserveError(Exception):
    """Anything that kept a request from its reply.

    ``message`` is the text; ``request_id`` names the request in the server's log; ``reason`` is
    the server's stable word for the cause; ``retry_delay_seconds`` is how long to wait before
    asking again. Each but the text is ``None`` where it is not known. ``received_tokens`` tells
    how much of a streamed reply had arrived, and ``was_accepted`` whether a server had taken the
    request.

        >>> service.fail_next(ServerError("internal error", reason="INTERNAL"))
        >>> try:
        ...     client.reply("Where is my order?", request_id="order-4711")
        ... except LstmserveError as error:
        ...     print(error, error.reason, error.request_id)
        internal error INTERNAL order-4711
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        reason: str | None = None,
        retry_delay_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.reason = reason
        self.retry_delay_seconds = retry_delay_seconds
        self.received_tokens = 0
        self.was_accepted = False

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


class InvalidRequestError(LstmserveError, ValueError):
    """The request is wrong and stays wrong; ``violations`` says which fields and why.

    It is a ValueError as well: what is wrong is a value that the caller gave.
    """

    def __init__(
        self,
        message: str,
        *,
        violations: Iterable[FieldViolation] = (),
        request_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, reason=reason)
        self.violations = list(violations)


class ModelNotFoundError(LstmserveError):
    """The server has no such model or version; ``resource`` is its name, where given."""

    def __init__(
        self,
        message: str,
        *,
        resource: str | None = None,
        request_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, reason=reason)
        self.resource = resource


class VersionGoneError(ModelNotFoundError):
    """A reply was cut, and no server has the version any more that began it: no other can go
    on with it. ``received_tokens`` of it had arrived; ask again for another reply.
    """


class ModelStateError(LstmserveError):
    """A version cannot be served, or what was asked for would leave requests without an answer.

    ``reason`` is MODEL_LOAD_FAILED or MODEL_NEEDED.
    """


class NotCachedError(LstmserveError):
    """Only a cached reply was wanted, and the server has none."""


class OverloadedError(LstmserveError):
    """The queue is full or the caller has had its share; ``retry_delay_seconds`` says how long
    to wait, where the server told.
    """


class UnavailableError(LstmserveError):
    """No server answers, or it is loading, draining or broken; another one may do.
    ``retry_delay_seconds`` says how long to wait, where a server told.
    """


class DeadlineExceededError(LstmserveError):
    """The time allowed for the request has passed, or would pass before the reply."""


class UnauthenticatedError(LstmserveError):
    """The server wants credentials, or does not accept those given."""


class PermissionDeniedError(LstmserveError):
    """The server knows the caller and does not allow this."""


class ResumeError(LstmserveError):
    """The tokens to resume after are not the beginning of this reply."""


class RequestCancelledError(LstmserveError):
    """The call was cancelled before it ended, for example by closing the client."""


class BrokenReplyError(LstmserveError):
    """The server reported success without a whole reply; what came cannot be relied on."""


class UnreadableReplyError(LstmserveError, ValueError):
    """A reply keeps its JSON schema, and the class that the schema was made of does not take it.

    ``reply`` is the whole of it, with its text. Its ``parsed``, and those of its alternatives, are
    None where they could not be read; ``__cause__`` is what the class raised. A schema says less
    than a class may ask for, such as a validator.
    """

    def __init__(self, message: str, reply: "Reply", request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.args = (message, reply)  # of which a copy is made in another process
        self.reply = reply
        self.was_accepted = True


class ServerError(LstmserveError):
    """The server failed; its operator finds the cause in the log by ``request_id``."""


class PoisonedRequestError(ServerError):
    """Working on this request has ended the server's engine twice, which is a bug of the server.

    Asking again, here or elsewhere, would do the same to everybody who is served beside it.
    """

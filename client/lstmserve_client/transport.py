"""What a client needs of whatever carries its calls; gRPC does, and stand-ins in tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from lstmserve_client.methods import Method

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
Item_co = TypeVar("Item_co", covariant=True)
Metadata = tuple[tuple[str, str], ...]
# a reply of 4,096 tokens with 20 log-probabilities each takes about 2 MB; servers refuse
# requests of more than 4 MiB unless told otherwise
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one server."""

    target: int  # the number of the server
    timeout_seconds: float | None
    metadata: Metadata
    request_id: str
    is_checked: bool = True  # only a server that reports SERVING will do


class Stream(Protocol[Item_co]):
    """Messages as they come; iterating raises a LstmserveError."""

    def __iter__(self) -> Iterator[Item_co]: ...

    def cancel(self) -> object:
        """End the call; does nothing once it has ended."""
        ...


class Pending(Protocol[Item_co]):
    """A unary call that runs."""

    def result(self) -> Item_co:
        """Wait for the response; raises a LstmserveError."""
        ...

    def add_done_callback(self, callback: Callable[[Any], object]) -> object: ...

    def cancel(self) -> object: ...


class Transport(Protocol):
    """Carries calls for threads. Every method raises a LstmserveError."""

    def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R: ...

    def begin(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Pending[R]:
        """A unary call that is not waited for."""
        ...

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Stream[R]: ...

    def close(self) -> None: ...


class AsyncStream(Protocol[Item_co]):
    """As ``Stream``, for an event loop."""

    def __aiter__(self) -> AsyncIterator[Item_co]: ...

    def cancel(self) -> object: ...


class AsyncTransport(Protocol):
    """As ``Transport``, for an event loop."""

    async def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R: ...

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> AsyncStream[R]: ...

    async def close(self) -> None: ...

"""The first answer of two calls, for threads."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from lstmserve_client.errors import LstmserveError
from lstmserve_client.transport import Pending

Result = TypeVar("Result")


def race(
    begin: Callable[[], Pending[Result]],
    begin_second: Callable[[], Pending[Result] | None],
    delay_seconds: float,
) -> Result:
    """Begin a second call, if there is to be one, when the first has not ended after the delay.

    A call that fails loses only if the other one has an answer. The loser is cancelled.
    """
    ended: SimpleQueue[Pending[Result]] = SimpleQueue()
    running = [_watched(begin(), ended)]
    try:
        try:
            ended.put(ended.get(timeout=delay_seconds))  # back for who counts them
        except Empty:
            second = begin_second()
            if second is not None:
                running.append(_watched(second, ended))
        return _first_answer(ended, len(running))
    finally:
        for call in running:
            call.cancel()


def _watched(call: Pending[Result], ended: "SimpleQueue[Pending[Result]]") -> Pending[Result]:
    call.add_done_callback(lambda _: ended.put(call))
    return call


def _first_answer(ended: "SimpleQueue[Pending[Result]]", count: int) -> Result:
    for _ in range(count - 1):
        try:
            return ended.get().result()
        except LstmserveError:
            continue
    return ended.get().result()

"""What operators changed on any worker, for all the others and for those that start later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lstmserve_server.process_messages import OperatorChange, OperatorState
from lstmserve_server.store.directives import Directives

Receive = Callable[[OperatorState], None]
Publish = Callable[[OperatorChange], None]


@dataclass(eq=False, slots=True)
class _Subscriber:
    receive: Receive
    num_changes: int = 0


class Broadcast:
    """Merges changes and sends the result to all, so that all know the same in any order.

    It goes to the worker that was changed, too: another may have been changed at the same time.
    """

    def __init__(self) -> None:
        self.directives: Directives | None = None  # after all changes so far
        self.log_level = ""  # empty: it has not changed
        self._subscribers: list[_Subscriber] = []

    @contextmanager
    def subscribed(self, receive: Receive) -> Iterator[Publish]:
        """Receive what was changed before and what changes; yield a way to publish a change."""
        subscriber = _Subscriber(receive)
        self._subscribers.append(subscriber)
        self._send(subscriber)
        try:
            yield lambda change: self._publish(change, subscriber)
        finally:
            self._subscribers.remove(subscriber)

    def _publish(self, change: OperatorChange, publisher: _Subscriber) -> None:
        known = change.before if self.directives is None else self.directives
        self.directives = known.with_changes(change.before, change.after)
        self.log_level = change.log_level or self.log_level
        publisher.num_changes += 1
        for subscriber in self._subscribers:
            self._send(subscriber)

    def _send(self, subscriber: _Subscriber) -> None:
        if self.directives is not None:
            subscriber.receive(
                OperatorState(self.directives, subscriber.num_changes, self.log_level)
            )

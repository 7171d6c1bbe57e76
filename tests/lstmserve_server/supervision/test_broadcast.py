"""Whatever is said to whom, and whenever: in the end all workers know the same, and all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import hypothesis
import pytest
from hypothesis import strategies as st

from lstmserve_server.process_messages import OperatorChange, OperatorState
from lstmserve_server.store.directives import Directives
from lstmserve_server.supervision.broadcast import Broadcast, Publish

ONE, TWO = ("tiny", 1), ("tiny", 2)
NOTHING_SAID = Directives(default_model="tiny", weights={"tiny": {1: 1}})
STATES: tuple[Callable[[Directives], Directives], ...] = (
    lambda known: known.with_requested(ONE),
    lambda known: known.with_rejected(ONE),
    lambda known: known.with_requested(TWO),
    lambda known: known.with_rejected(TWO),
    lambda known: known.with_default_model("a"),
    lambda known: known.with_default_model("tiny"),
    lambda known: known.with_weights("tiny", {1: 2, 2: 3}),
    lambda known: known.with_weights("tiny", {}),
    lambda known: known.with_weights("a", {7: 1}),
)


class Worker:
    """A worker as far as the broadcast is concerned; messages take their time, either way."""

    def __init__(self, stack: ExitStack, broadcast: Broadcast) -> None:
        self.down: deque[OperatorState] = deque()
        self.up: deque[OperatorChange] = deque()
        self.known = broadcast.directives or NOTHING_SAID  # with its order
        self.num_changes = 0
        self._say: Publish = stack.enter_context(broadcast.subscribed(self.down.append))

    def tell(self, state: Callable[[Directives], Directives]) -> None:
        before, self.known = self.known, state(self.known)
        self.num_changes += 1
        self.up.append(OperatorChange(before, self.known))

    def carry_up(self) -> None:
        if self.up:
            self._say(self.up.popleft())

    def carry_down(self) -> None:
        if self.down and (state := self.down.popleft()).num_changes == self.num_changes:
            self.known = state.directives


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast()


def carry_all(*workers: Worker) -> None:
    while any(worker.up or worker.down for worker in workers):
        for worker in workers:
            worker.carry_up()
            worker.carry_down()


def test_what_one_is_told_all_hear(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        workers = [Worker(stack, broadcast) for _ in range(3)]
        workers[1].tell(lambda known: known.with_rejected(ONE))
        carry_all(*workers)
        assert all(each.known == NOTHING_SAID.with_rejected(ONE) for each in workers)


def test_who_comes_later_knows_it_from_the_start(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        first = Worker(stack, broadcast)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        assert Worker(stack, broadcast).known == first.known


def test_what_was_said_between_the_order_and_the_answer_is_heard(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        first = Worker(stack, broadcast)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        late: list[OperatorState] = []
        stack.enter_context(broadcast.subscribed(late.append))
        assert late == [OperatorState(first.known)]


def test_who_has_ended_is_told_nothing_more(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        first = Worker(stack, broadcast)
        with ExitStack() as short:
            gone = Worker(short, broadcast)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        assert not gone.down


def test_what_is_said_to_two_at_once_is_known_by_both(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        workers = [Worker(stack, broadcast), Worker(stack, broadcast)]
        workers[0].tell(lambda known: known.with_requested(ONE))
        workers[1].tell(lambda known: known.with_default_model("a"))
        carry_all(*workers)
        both = NOTHING_SAID.with_requested(ONE).with_default_model("a")
        assert [worker.known for worker in workers] == [both, both]


def test_what_was_said_since_is_not_undone_by_what_is_heard_late(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        worker = Worker(stack, broadcast)
        for model in "ab":
            worker.tell(lambda known, name=model: known.with_default_model(name))
        worker.carry_up()
        worker.carry_down()
        assert worker.known.default_model == "b"


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["up", "down", "tell"]), st.sampled_from(STATES)),
    max_size=40,
)


@hypothesis.given(STEPS)
def test_in_the_end_all_know_the_same(
    steps: list[tuple[int, str, Callable[[Directives], Directives]]],
) -> None:
    broadcast = Broadcast()
    with ExitStack() as stack:
        workers = [Worker(stack, broadcast) for _ in range(3)]
        for number, what, state in steps:
            worker = workers[number]
            if what == "tell":
                worker.tell(state)
            else:
                getattr(worker, f"carry_{what}")()
        carry_all(*workers)
        assert all(worker.known == workers[0].known for worker in workers)
        assert not workers[0].known.requested & workers[0].known.rejected


def test_a_log_level_reaches_all_and_changes_nothing_else(broadcast: Broadcast) -> None:
    with ExitStack() as stack:
        heard: list[OperatorState] = []
        say = stack.enter_context(broadcast.subscribed(heard.append))
        other: list[OperatorState] = []
        stack.enter_context(broadcast.subscribed(other.append))
        say(OperatorChange(NOTHING_SAID, NOTHING_SAID, "DEBUG"))
        say(OperatorChange(NOTHING_SAID, NOTHING_SAID.with_rejected(ONE)))
        assert [state.log_level for state in other] == ["DEBUG", "DEBUG"]
        assert other[-1].directives == NOTHING_SAID.with_rejected(ONE)
        later: list[OperatorState] = []
        stack.enter_context(broadcast.subscribed(later.append))
        assert [state.log_level for state in later] == [broadcast.log_level] == ["DEBUG"]

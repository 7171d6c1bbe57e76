"""Whatever is said to whom, and whenever: in the end all workers know the same, and all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import hypothesis
import pytest
from hypothesis import strategies as st

from lstmserve_server.store.directives import Directives
from lstmserve_server.supervision.board import Board, Say
from lstmserve_server.word import Saying, Word

ONE, TWO = ("tiny", 1), ("tiny", 2)
NOTHING_SAID = Directives(default_model="tiny", weights={"tiny": {1: 1}})
WORDS: tuple[Callable[[Directives], Directives], ...] = (
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
    """A worker as far as the board is concerned; messages take their time, either way."""

    def __init__(self, stack: ExitStack, board: Board) -> None:
        self.down: deque[Word] = deque()
        self.up: deque[Saying] = deque()
        self.known = board.directives or NOTHING_SAID  # with its order
        self.num_sayings = 0
        self._say: Say = stack.enter_context(board.listening(self.down.append))

    def tell(self, word: Callable[[Directives], Directives]) -> None:
        before, self.known = self.known, word(self.known)
        self.num_sayings += 1
        self.up.append(Saying(before, self.known))

    def carry_up(self) -> None:
        if self.up:
            self._say(self.up.popleft())

    def carry_down(self) -> None:
        if self.down and (word := self.down.popleft()).num_sayings == self.num_sayings:
            self.known = word.directives


@pytest.fixture
def board() -> Board:
    return Board()


def carry_all(*workers: Worker) -> None:
    while any(worker.up or worker.down for worker in workers):
        for worker in workers:
            worker.carry_up()
            worker.carry_down()


def test_what_one_is_told_all_hear(board: Board) -> None:
    with ExitStack() as stack:
        workers = [Worker(stack, board) for _ in range(3)]
        workers[1].tell(lambda known: known.with_rejected(ONE))
        carry_all(*workers)
        assert all(each.known == NOTHING_SAID.with_rejected(ONE) for each in workers)


def test_who_comes_later_knows_it_from_the_start(board: Board) -> None:
    with ExitStack() as stack:
        first = Worker(stack, board)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        assert Worker(stack, board).known == first.known


def test_what_was_said_between_the_order_and_the_answer_is_heard(board: Board) -> None:
    with ExitStack() as stack:
        first = Worker(stack, board)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        late: list[Word] = []
        stack.enter_context(board.listening(late.append))
        assert late == [Word(first.known)]


def test_who_has_ended_is_told_nothing_more(board: Board) -> None:
    with ExitStack() as stack:
        first = Worker(stack, board)
        with ExitStack() as short:
            gone = Worker(short, board)
        first.tell(lambda known: known.with_rejected(ONE))
        carry_all(first)
        assert not gone.down


def test_what_is_said_to_two_at_once_is_known_by_both(board: Board) -> None:
    with ExitStack() as stack:
        workers = [Worker(stack, board), Worker(stack, board)]
        workers[0].tell(lambda known: known.with_requested(ONE))
        workers[1].tell(lambda known: known.with_default_model("a"))
        carry_all(*workers)
        both = NOTHING_SAID.with_requested(ONE).with_default_model("a")
        assert [worker.known for worker in workers] == [both, both]


def test_what_was_said_since_is_not_undone_by_what_is_heard_late(board: Board) -> None:
    with ExitStack() as stack:
        worker = Worker(stack, board)
        for model in "ab":
            worker.tell(lambda known, name=model: known.with_default_model(name))
        worker.carry_up()
        worker.carry_down()
        assert worker.known.default_model == "b"


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["up", "down", "tell"]), st.sampled_from(WORDS)),
    max_size=40,
)


@hypothesis.given(STEPS)
def test_in_the_end_all_know_the_same(
    steps: list[tuple[int, str, Callable[[Directives], Directives]]],
) -> None:
    board = Board()
    with ExitStack() as stack:
        workers = [Worker(stack, board) for _ in range(3)]
        for number, what, word in steps:
            worker = workers[number]
            if what == "tell":
                worker.tell(word)
            else:
                getattr(worker, f"carry_{what}")()
        carry_all(*workers)
        assert all(worker.known == workers[0].known for worker in workers)
        assert not workers[0].known.requested & workers[0].known.rejected


def test_a_log_level_reaches_all_and_changes_nothing_else(board: Board) -> None:
    with ExitStack() as stack:
        heard: list[Word] = []
        say = stack.enter_context(board.listening(heard.append))
        other: list[Word] = []
        stack.enter_context(board.listening(other.append))
        say(Saying(NOTHING_SAID, NOTHING_SAID, "DEBUG"))
        say(Saying(NOTHING_SAID, NOTHING_SAID.with_rejected(ONE)))
        assert [word.log_level for word in other] == ["DEBUG", "DEBUG"]
        assert other[-1].directives == NOTHING_SAID.with_rejected(ONE)
        later: list[Word] = []
        stack.enter_context(board.listening(later.append))
        assert [word.log_level for word in later] == [board.log_level] == ["DEBUG"]

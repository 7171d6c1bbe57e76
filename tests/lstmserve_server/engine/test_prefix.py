"""A reply that starts from a known state is the same reply, and states are those of the tokens."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.prefix import WHOLE_PROMPT, KnownState, PromptStates
from lstmserve_server.engine.request import Claim, GenerationRequest
from support.engines import MAX_ROWS, Bench, LoadedModel, Reply
from support.random_requests import random_request
from support.torch_threads import torch_threads

Ask = tuple[GenerationRequest, PromptStates]

STATE_BYTES = 16
NUM_TOKENS = 5


@dataclass(frozen=True)
class Case:
    """A request with its reply and its states, read token by token with no company."""

    request: GenerationRequest
    essence: tuple[object, ...]
    states: Mapping[int, bytes]

    def known(self, num_tokens: int) -> KnownState | None:
        return KnownState(num_tokens, self.states[num_tokens]) if num_tokens else None


def run_all(
    model: LoadedModel, asked: Iterable[Ask], config: EngineConfig | None = None
) -> list[Reply]:
    """The replies to requests that all arrive at once."""
    bench = Bench(model, config)
    for number, (request, states) in enumerate(asked):
        bench.submit(number, request, states=states)
    return list(bench.run().values())


def read_alone(model: LoadedModel, request: GenerationRequest) -> Case:
    one_by_one = EngineConfig(max_running=1, quantum_steps=1, prefill_piece_tokens=1)
    everywhere = PromptStates(wanted=tuple(range(1, len(request.prompt_ids))))
    (reply,) = run_all(model, [(request, everywhere)], one_by_one)
    assert tuple(reply.states) == everywhere.wanted
    assert reply.essence == run_all(model, [(request, WHOLE_PROMPT)], one_by_one)[0].essence
    return Case(request, reply.essence, reply.states)


@pytest.fixture(scope="session")
def cases(tiny: LoadedModel) -> list[Case]:
    """Requests of every kind, half of which resume a reply."""
    rng = random.Random(23)
    found = [read_alone(tiny, random_request(tiny.bundle, rng)) for _ in range(48)]
    return [resumed(tiny, case, rng) if n % 2 else case for n, case in enumerate(found)]


def resumed(model: LoadedModel, case: Case, rng: random.Random) -> Case:
    token_ids = case.essence[1]
    assert isinstance(token_ids, list)
    cut = rng.randrange(len(token_ids))
    return read_alone(model, replace(case.request, resume_ids=tuple(token_ids[:cut])))


def assert_as_alone(replies: list[Reply], cases: list[Case]) -> None:
    for reply, case in zip(replies, cases, strict=True):
        assert reply.essence == case.essence
        assert reply.states.items() <= case.states.items()


@pytest.mark.parametrize(
    "states",
    [
        PromptStates(KnownState(NUM_TOKENS, bytes(STATE_BYTES))),
        PromptStates(KnownState(0, bytes(STATE_BYTES))),
        PromptStates(KnownState(1, bytes(STATE_BYTES - 4))),
        PromptStates(KnownState(1, b"")),
        PromptStates(wanted=(0, 1)),
        PromptStates(wanted=(3, 3)),
        PromptStates(wanted=(3, 2)),
        PromptStates(wanted=(1, NUM_TOKENS)),
    ],
)
def test_what_does_not_fit_is_refused(states: PromptStates) -> None:
    with pytest.raises(ValueError, match=r"known: |wanted: "):
        states.check(NUM_TOKENS, STATE_BYTES)


@pytest.mark.parametrize(
    "states",
    [
        WHOLE_PROMPT,
        PromptStates(KnownState(4, bytes(STATE_BYTES)), (1, 4)),
        PromptStates(wanted=(1, 2, 4)),
    ],
)
def test_what_fits_is_not(states: PromptStates) -> None:
    states.check(NUM_TOKENS, STATE_BYTES)


def test_a_state_of_another_size_reaches_no_slot(tiny: LoadedModel, cases: list[Case]) -> None:
    """One float would fit any row: torch repeats it."""
    bench = Bench(tiny)
    for data in (cases[0].states[1][:4], cases[0].states[1] * 2):
        with pytest.raises(ValueError, match="bytes"):
            bench.submit(0, cases[0].request, states=PromptStates(KnownState(1, data)))
    assert not bench.has_work


def test_a_one_token_prompt_has_no_state_to_give(tiny: LoadedModel, cases: list[Case]) -> None:
    short = replace(cases[0].request, prompt_ids=cases[0].request.prompt_ids[:1], resume_ids=())
    assert read_alone(tiny, short).states == {}


@pytest.mark.parametrize("rows", [1, 5, 15, 16, 17, MAX_ROWS])
def test_a_reply_is_the_same_from_every_state_of_its_prompt(
    tiny: LoadedModel, cases: list[Case], rows: int
) -> None:
    config = EngineConfig(max_running=rows)
    for case in cases[:: 1 + (rows == 1)]:
        asked = [(case.request, PromptStates(case.known(cut))) for cut in [0, *case.states]]
        assert_as_alone(run_all(tiny, asked, config), [case] * len(asked))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 16, 1024])
@pytest.mark.parametrize("rows", [1, 15, MAX_ROWS])
def test_states_are_the_same_however_the_prompt_is_cut(
    tiny: LoadedModel, cases: list[Case], rows: int, piece: int
) -> None:
    """The last one: no wanted state before it cuts the prompt anywhere else."""
    config = EngineConfig(max_running=rows, prefill_piece_tokens=piece)
    asked = [(case.request, PromptStates(wanted=(max(case.states),))) for case in cases]
    replies = run_all(tiny, asked, config)
    assert_as_alone(replies, cases)
    assert all(len(reply.states) == 1 for reply in replies)


def test_two_threads_give_the_same_states(tiny: LoadedModel, cases: list[Case]) -> None:
    asked = [(case.request, PromptStates(wanted=(max(case.states),))) for case in cases]
    with torch_threads(2):
        assert_as_alone(run_all(tiny, asked), cases)


readings = st.tuples(st.integers(0, 1000), st.sets(st.integers(1, 1000), max_size=5))
configs = st.builds(
    EngineConfig,
    max_running=st.integers(1, MAX_ROWS),
    quantum_steps=st.integers(1, 16),
    prefill_piece_tokens=st.integers(1, 40),
    prefill_budget_tokens=st.integers(2, 600),
)


def to_states(case: Case, known: int, wanted: set[int]) -> PromptStates:
    """States that fit the case, of any numbers."""
    length = len(case.request.prompt_ids)
    asked = tuple(sorted({n % length for n in wanted} - {0}))
    return PromptStates(case.known(known % length), asked)


@given(data=st.data(), config=configs)
@settings(max_examples=50, deadline=None)
def test_no_schedule_changes_a_reply_or_a_state(
    tiny: LoadedModel, cases: list[Case], data: st.DataObject, config: EngineConfig
) -> None:
    """With and without known states in one batch; they come, leave, yield and rest at any step."""
    bench = Bench(tiny, config)
    chosen: list[tuple[Case, PromptStates]] = []
    picks = st.tuples(st.sampled_from(cases), readings, st.sampled_from("ab"), st.integers(0, 3))
    for number, (case, states, caller, steps) in enumerate(
        data.draw(st.lists(picks, min_size=data.draw(st.sampled_from([1, 30])), max_size=40))
    ):
        chosen.append((case, to_states(case, *states)))
        bench.submit(number, case.request, Claim(caller), chosen[-1][1])
        for _ in range(steps):
            bench.step()
        victim = data.draw(st.integers(0, 6 * number + 6))
        if victim <= number and data.draw(st.booleans()):
            bench.cancel(victim)
        elif victim <= number:
            bench.park(victim)
    for number in range(len(chosen)):
        bench.unpark(number)
    for number, reply in bench.run().items():
        case, asked = chosen[number]
        assert reply.states.items() <= case.states.items()
        if reply.finish is not None:
            assert reply.essence == case.essence
            assert tuple(reply.states) == tuple(n for n in asked.wanted if n > asked.num_known)
    assert bench.load.running == bench.load.waiting == bench.load.parked == 0

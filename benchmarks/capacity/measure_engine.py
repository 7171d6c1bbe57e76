"""Costs of an engine without a server: processor time of its one thread.

Not elapsed time: on a machine with other work that would count the others as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.engine.contestants import STEPS, Round, load_newest, make_contestants
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.messages import Submit
from lstmserve_server.engine.process.engine import Engine
from lstmserve_server.engine.process.loader import LoadedModel
from lstmserve_server.engine.request import NO_CLAIM, GenerationRequest, SamplingParams
from lstmserve_server.engine.shared_page import SharedPage, make_page

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
TURN_ROWS = (4, 16)
PREFILL_ROWS = 4
SHORT_PROMPT, LONG_PROMPT = 5, 33  # the last token of a prompt is the first step's
ENDLESS = 1 << 20
UNDISTURBED_PERCENTILE = 10  # other programs take the caches, and so make a step dearer


@dataclass(frozen=True)
class EngineCosts:
    step_seconds: dict[float, float]
    turn_seconds: float
    reply_seconds: float
    prefill_token_seconds: float


def measure_engine(store: Path, seconds: float, rows: Sequence[int] = ROWS) -> EngineCosts:
    """Measure decode steps by rows, what a turn takes beside them, and reading prompts.

    ``seconds`` are for each figure.
    """
    model = load_newest(store)
    contestant = make_contestants(model)["engine"]
    steps = {float(number): _time(_warm(contestant(number)), seconds) / STEPS for number in rows}
    turns = [_time_turn(model, _warm(contestant(number)), number, seconds) for number in TURN_ROWS]
    turn_seconds = max(0.0, sum(turns) / len(turns))
    short, long = (_time_prefill(model, prompt, seconds) for prompt in (SHORT_PROMPT, LONG_PROMPT))
    token_seconds = max(0.0, (long - short) / (PREFILL_ROWS * (LONG_PROMPT - SHORT_PROMPT)))
    numbers = sorted(steps)
    step = float(np.interp(PREFILL_ROWS, numbers, [steps[number] for number in numbers]))
    tokens = PREFILL_ROWS * (SHORT_PROMPT - 1)
    left = max(0.0, short - tokens * token_seconds - step - turn_seconds)
    return EngineCosts(steps, turn_seconds, left / PREFILL_ROWS, token_seconds)


def _warm(each: Round) -> Callable[[], object]:
    each.warm_up()
    return each.timed


def _time_turn(
    model: LoadedModel, quantum: Callable[[], object], rows: int, seconds: float
) -> float:
    """Return what a turn of an engine with so many replies takes beside its quantum.

    Both take turns, so that a busy moment of the machine meets each of them.
    """
    engine = _make_engine(model)
    for submit in _requests(rows, SHORT_PROMPT, ENDLESS):
        engine.run(submit)
    for _ in range(3):  # prompts, first tokens, first quantum
        engine.turn()
    differences: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or not differences:
        differences.append(_spend(engine.turn) - _spend(quantum))
    return median(differences)


def _time_prefill(model: LoadedModel, prompt_tokens: int, seconds: float) -> float:
    """Return the seconds of a turn that reads some prompts and takes their first step."""
    engine = _make_engine(model)
    numbers = count()

    def turn() -> None:
        for submit in _requests(PREFILL_ROWS, prompt_tokens, 1, numbers):
            engine.run(submit)
        while engine.has_work:
            engine.turn()

    return _time(turn, seconds)


def _make_engine(model: LoadedModel) -> Engine:
    config = EngineConfig(max_running=max(TURN_ROWS))
    page = SharedPage(make_page())
    return Engine(model.runner, model.facts.end_id, config, page, time.monotonic)


def _requests(
    number: int, prompt_tokens: int, tokens: int, numbers: Iterator[int] | None = None
) -> Iterator[Submit]:
    names = numbers or count()
    for _ in range(number):
        name = next(names)
        prompt = tuple(5 + (name + place) % 100 for place in range(prompt_tokens))
        sampling = SamplingParams(temperature=0.8, seed=name)
        request = GenerationRequest(prompt, sampling, tokens, tokens)
        yield Submit(name, request, NO_CLAIM, time.monotonic())


def _time(work: Callable[[], object], seconds: float) -> float:
    """Return the processor time of doing it, where little disturbs it."""
    spent: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or not spent:
        spent.append(_spend(work))
    return float(np.percentile(spent, UNDISTURBED_PERCENTILE))


def _spend(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began

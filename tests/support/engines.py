"""An engine without server or threads, stepped by hand."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from lstmserve_bundle import Bundle, open_bundle
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.archive import make_archive
from lstmserve_server.engine.client import Vocabulary
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.messages import Amend, Cancel, Load, Park, Row, Turn, Unpark
from lstmserve_server.engine.observer import Measuring
from lstmserve_server.engine.outbox import Outbox
from lstmserve_server.engine.output import Finish, FinishReason, Output, TokenLogprobs
from lstmserve_server.engine.prefix import WHOLE_PROMPT, KnownState, PromptStates
from lstmserve_server.engine.process.engine import Clock, Engine
from lstmserve_server.engine.process.loader import configure_torch, load_version
from lstmserve_server.engine.reply import Reply as ReplyInTheMaking
from lstmserve_server.engine.reply_text import begin_text
from lstmserve_server.engine.request import NO_CLAIM, Claim, GenerationRequest
from lstmserve_server.engine.teaching import Teaching
from lstmserve_server.errors import LstmserveError
from support.pages import map_page

MAX_ROWS = 64


@dataclass
class Reply:
    """Everything an engine said about one request."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    finish: Finish | None = None
    error: LstmserveError | None = None
    states: dict[int, bytes] = field(default_factory=dict)  # of the prompt, by tokens read

    def take(self, result: Output | KnownState | LstmserveError) -> None:
        """Add what the engine says next."""
        assert not self.has_ended
        if isinstance(result, LstmserveError):
            self.error = result
            return
        if isinstance(result, KnownState):
            assert not self.token_ids
            assert result.num_tokens > max(self.states, default=0)
            self.states[result.num_tokens] = result.data
            return
        self.text += result.text
        self.token_ids += result.token_ids
        self.logprobs += result.logprobs
        self.finish = result.finish

    @property
    def has_ended(self) -> bool:
        return self.finish is not None or self.error is not None

    @property
    def essence(self) -> tuple[object, ...]:
        """All but the timings."""
        assert self.finish is not None
        return (
            self.text,
            self.token_ids,
            self.logprobs,
            self.finish.reason,
            self.finish.stop_sequence,
            self.finish.num_tokens,
        )


class Recorder:
    """An engine observer that remembers."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []  # (rows, steps)
        self.wasted = 0
        self.drafted = (0, 0)
        self.nats: list[float] = []
        self.measured: list[tuple[str, FinishReason]] = []
        self.cancelled: list[float] = []  # seconds
        self.restarts: list[str] = []

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        self.batches.append((rows, steps))
        assert seconds >= 0

    def on_drafted(self, guessed: int, right: int) -> None:
        self.drafted = (self.drafted[0] + guessed, self.drafted[1] + right)

    def on_wasted(self, tokens: int, reason: str) -> None:
        assert reason
        self.wasted += tokens

    def on_scored(self, nats: Sequence[float]) -> None:
        self.nats += nats

    def on_measured(self, text: str, reason: FinishReason) -> None:
        self.measured.append((text, reason))

    def on_restart(self, reason: str) -> None:
        self.restarts.append(reason)

    def on_cancelled(self, seconds: float) -> None:
        assert seconds >= 0
        self.cancelled.append(seconds)


@dataclass(frozen=True)
class LoadedModel:
    """A version as the server has it, and the runner that its engine's process has."""

    bundle: Bundle
    runner: Runner
    difference: str = ""


class Bench:
    """Drives an engine over a model on a clock that only counts, and is its server."""

    def __init__(
        self,
        model: LoadedModel,
        config: EngineConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config = config or EngineConfig(max_running=MAX_ROWS)
        self.recorder = Recorder()
        self._vocabulary = Vocabulary(model.bundle.tokenizer, model.bundle.template.end_id)
        self._row_bytes = model.runner.row_bytes
        self._measuring = Measuring(self.config.measured_tokens_per_second, self.recorder)
        ticks = count(start=1)
        self._clock = clock or (lambda: float(next(ticks)))
        page = map_page()
        end_id = self._vocabulary.end_id
        self.engine = Engine(model.runner, end_id, self.config, page, self._clock)
        self._teaching = Teaching()
        self._making: dict[int, ReplyInTheMaking] = {}
        self.replies: dict[int, Reply] = {}
        self.outputs: dict[int, list[Output]] = {}

    def submit(
        self,
        number: int,
        request: GenerationRequest,
        claim: Claim = NO_CLAIM,
        states: PromptStates = WHOLE_PROMPT,
        arrived_at: float = 0.0,
        form: Form | None = None,
    ) -> None:
        """Raises what the engine raises, and then knows of no such reply."""
        states.check(len(request.prompt_ids), self._row_bytes)
        text = begin_text(self._vocabulary.tokenizer, self._vocabulary.end_id, request, form)
        is_measured = self._measuring.chooses(request, arrived_at)
        reply = ReplyInTheMaking(
            number, request, claim, states, text, Outbox(1), arrived_at, is_measured, form
        )
        if form is not None:
            tokens = self._vocabulary.tokenizer.all_bytes
            for lesson in self._teaching.teach(form, tokens):
                self.engine.run(lesson)
        self.engine.submit(reply.to_submit())
        self._making[number] = reply
        self.outputs[number], self.replies[number] = [], Reply()

    def cancel(self, number: int) -> None:
        self.engine.run(Cancel(number))
        self._making.pop(number, None)

    def park(self, number: int) -> None:
        self.engine.run(Park(number))

    def unpark(self, number: int) -> None:
        self.engine.run(Unpark(number))

    def amend(self, number: int, claim: Claim) -> None:
        self.engine.run(Amend(number, claim))

    def step(self) -> list[int]:
        """One turn of the engine; returns the replies that got tokens."""
        turn = self.engine.turn()
        if turn.decoded is not None:
            self.recorder.on_decode(*turn.decoded)
            self.recorder.on_drafted(*turn.drafted)
        self.recorder.on_wasted(turn.num_wasted, "finished")
        for number, state in turn.states:
            self.replies[number].take(state)
        for refusal in turn.refusals:
            del self._making[refusal.reply_id]
            self.recorder.on_cancelled(0.0)
            self.replies[refusal.reply_id].take(refusal.to_error())
        for row in turn.rows:
            self._take(row, turn)
        return [row.reply_id for row in turn.rows]

    def _take(self, row: Row, turn: Turn) -> None:
        reply = self._making.get(row.reply_id)
        if reply is None:
            self.recorder.on_wasted(len(row.token_ids), "cancelled")
            return
        output = reply.extend(row, turn.now)
        if reply.is_measured:
            self._measuring.tell(reply, output, row.logprobs)
        self.outputs[row.reply_id].append(output)
        self.replies[row.reply_id].take(output)
        if self.replies[row.reply_id].has_ended:
            self.recorder.on_wasted(len(row.token_ids) - len(output.token_ids), "finished")
            self.cancel(row.reply_id)  # a stop sequence, which the engine does not know of

    def run(self) -> Mapping[int, Reply]:
        while self.has_work:
            self.step()
        return self.replies

    @property
    def load(self) -> Load:
        return self.engine.load

    @property
    def has_work(self) -> bool:
        return self.engine.has_work


def run_together(
    model: LoadedModel,
    requests: Iterable[GenerationRequest],
    config: EngineConfig | None = None,
    *,
    with_states: bool = False,
) -> list[Reply]:
    """The replies to requests that all arrive at once; if so, with the states of their prompts."""
    bench = Bench(model, config)
    for number, request in enumerate(requests):
        wanted = range(1, len(request.prompt_ids) if with_states else 0)
        bench.submit(number, request, states=PromptStates(wanted=tuple(wanted)))
    return list(bench.run().values())


def load_tiny(store: Path) -> LoadedModel:
    """The tiny model as an engine's process loads it."""
    return load(store / "tiny" / "1")


def load(folder: Path, max_rows: int = MAX_ROWS) -> LoadedModel:
    """A version as an engine's process loads it."""
    configure_torch(threads=1)
    archive = make_archive()
    try:
        loaded = load_version(folder, archive, max_rows)
    finally:
        os.close(archive)
    return LoadedModel(open_bundle(folder), loaded.runner, loaded.difference)


def prompt_ids(bundle: Bundle, text: str) -> tuple[int, ...]:
    return tuple(bundle.template.render_prompt(text))


Asked = tuple[GenerationRequest, Form | None]


def run_all(
    model: LoadedModel, asked: list[Asked], config: EngineConfig | None = None
) -> list[Reply]:
    bench = Bench(model, config)
    for number, (request, form) in enumerate(asked):
        bench.submit(number, request, form=form)
    return list(bench.run().values())


def run_parking(model: LoadedModel, asked: list[Asked]) -> list[Reply]:
    """The replies to requests of which some are always set aside."""
    bench = Bench(model, EngineConfig(max_running=3, quantum_steps=2))
    for number, (request, form) in enumerate(asked):
        bench.submit(number, request, form=form)
    rng = random.Random(1)
    parked = set[int]()
    while bench.has_work or parked:
        if bench.has_work:
            bench.step()
        number = rng.randrange(len(asked))
        if number in parked:
            parked.discard(number)
            bench.unpark(number)
        elif not bench.replies[number].has_ended:
            parked.add(number)
            bench.park(number)
    return list(bench.replies.values())

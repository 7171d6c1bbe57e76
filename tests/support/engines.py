"""An engine without server or threads, stepped by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from lstmserve_bundle import Bundle
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.engine import Engine
from lstmserve_server.engine.output import Finish, FinishReason, Result, TokenLogprobs
from lstmserve_server.engine.prefix import WHOLE_PROMPT, KnownState, PromptStates
from lstmserve_server.engine.request import NO_CLAIM, Claim, GenerationRequest
from lstmserve_server.errors import LstmserveError
from lstmserve_server.store.loader import LoadedModel, configure_torch, load_version
from lstmserve_server.store.repository import ModelRepository

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

    def take(self, result: Result) -> None:
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
        self.nats: list[float] = []
        self.measured: list[tuple[str, FinishReason]] = []
        self.cancelled: list[float] = []  # seconds

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        self.batches.append((rows, steps))
        assert seconds >= 0

    def on_wasted(self, tokens: int, reason: str) -> None:
        assert reason
        self.wasted += tokens

    def on_scored(self, nats: Sequence[float]) -> None:
        self.nats += nats

    def on_measured(self, text: str, reason: FinishReason) -> None:
        self.measured.append((text, reason))

    def on_cancelled(self, seconds: float) -> None:
        assert seconds >= 0
        self.cancelled.append(seconds)


class Bench:
    """Drives an engine over a real model on a clock that only counts."""

    def __init__(self, model: LoadedModel, config: EngineConfig | None = None) -> None:
        self.recorder = Recorder()
        ticks = count(start=1)
        self.engine = Engine(
            model.runner,
            model.bundle.tokenizer,
            model.bundle.template.end_id,
            config or EngineConfig(max_running=MAX_ROWS),
            self.recorder,
            lambda: float(next(ticks)),
        )
        self.replies: dict[int, Reply] = {}

    def submit(
        self,
        number: int,
        request: GenerationRequest,
        claim: Claim = NO_CLAIM,
        states: PromptStates = WHOLE_PROMPT,
    ) -> None:
        """Raises what the engine raises, and then knows of no such reply."""
        self.engine.submit(number, request, arrived_at=0.0, claim=claim, states=states)
        self.replies[number] = Reply()

    def step(self) -> None:
        for number, output in self.engine.step():
            self.replies[number].take(output)

    def run(self) -> Mapping[int, Reply]:
        while self.engine.has_work:
            self.step()
        return self.replies


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
    """The tiny model as the server loads it."""
    configure_torch(threads=1)
    return load_version(ModelRepository(store).scan()["tiny"][0], MAX_ROWS)


def prompt_ids(bundle: Bundle, text: str) -> tuple[int, ...]:
    return tuple(bundle.template.render_prompt(text))

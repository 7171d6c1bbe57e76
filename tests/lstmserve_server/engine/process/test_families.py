"""Every family of networks is as exact as the first: in the engine, and over the wire."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.families.versions import SIZES, make_family_version
from lstmserve_bundle import open_bundle
from lstmserve_bundle.manifest import read_manifest
from lstmserve_server.config import EngineConfig
from support.comparison import Expected, assert_as_computed, expect
from support.engines import Bench, LoadedModel, load, run_together
from support.random_requests import random_request
from support.reference import ReferenceDecoder
from support.stores import accept_files
from support.torch_threads import torch_threads

OTHERS = sorted(SIZES.keys() - {"stacked"})  # which all other tests are about


@pytest.fixture(scope="module", params=OTHERS)
def model(
    request: pytest.FixtureRequest, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> LoadedModel:
    store = tmp_path_factory.mktemp("store")
    return load(make_family_version(tiny_store / "tiny" / "1", store, request.param))


@pytest.fixture(scope="module")
def pool(model: LoadedModel) -> list[Expected]:
    """Requests of all kinds with what must come of them; some go on after a part of a reply."""
    rng, reference = random.Random(3), ReferenceDecoder(model)
    requests = [random_request(model.bundle, rng) for _ in range(40)]
    return [expect(reference, request, rng) for request in requests]


def test_the_proof_finds_no_difference(model: LoadedModel) -> None:
    assert model.difference == ""


@pytest.mark.parametrize(
    ("rows", "steps", "piece", "threads"),
    [(1, 1, 1024, 1), (7, 5, 3, 2), (40, 8, 32, 1), (40, 8, 32, 2)],
)
def test_any_schedule_computes_what_the_reference_does(
    model: LoadedModel, pool: list[Expected], rows: int, steps: int, piece: int, threads: int
) -> None:
    config = EngineConfig(max_running=rows, quantum_steps=steps, prefill_piece_tokens=piece)
    with torch_threads(threads):
        replies = run_together(model, [request for request, _ in pool], config)
    for reply, expected in zip(replies, pool, strict=True):
        assert_as_computed(reply, expected)


def test_replies_that_were_guessed_are_those_of_the_reference(
    model: LoadedModel, pool: list[Expected]
) -> None:
    guessable = [each for each in pool if not each[0].sampling.is_adjusted]
    bench = Bench(model, EngineConfig(max_running=1))
    for number, expected in enumerate(each for each in guessable for _ in range(3)):
        bench.submit(number, expected[0])
        assert_as_computed(bench.run()[number], expected)
    guessed, right = bench.recorder.drafted
    assert 0 < right <= guessed


class Spoiled(nn.Module):
    """A model in whose place a worse one stands."""

    def __init__(self, model: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.model = model
        self.window: int = model.window

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        state: Tensor = self.model.initial_state(rows)
        return state

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.model.step(state, tokens)
        return found

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        after: Tensor = self.model.prefill(state, self.tokens_read(tokens), lengths)
        return after

    def tokens_read(self, tokens: Tensor) -> Tensor:
        return tokens


class Forgetful(Spoiled):
    """Reads prompts that are longer than its window wrongly, and all others right."""

    def tokens_read(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] > self.window:
            tokens = tokens.clone()
            tokens[:, 0] = 7
        return tokens


class Hasty(Spoiled):
    """Reads ahead wrongly, but only where its window was full before."""

    @torch.jit.export
    def read_ahead(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        scores, states = self.model.read_ahead(state, tokens)
        if int(state[0, -2]) > self.window:
            scores[-1, 0] += 1
        return scores, states


@pytest.mark.parametrize(
    ("spoiled", "window", "said"),
    [
        (Forgetful, 64, "read in pieces, and not at once"),
        (Forgetful, 256, "read in pieces, and not at once"),
        (Hasty, 64, "a reply to a long prompt that is read ahead"),
    ],
)
def test_the_proof_reads_more_than_attention_sees(
    tiny_store: Path, tmp_path: Path, spoiled: type[nn.Module], window: int, said: str
) -> None:
    source = tiny_store / "tiny" / "1"
    folder = make_family_version(source, tmp_path, "hybrid", window=window)
    path = folder / "model.pt"
    torch.jit.save(torch.jit.script(spoiled(torch.jit.load(str(path)))), str(path))  # type: ignore[no-untyped-call]
    accept_files(folder)
    assert said in load(folder, max_rows=4).difference


def test_a_state_holds_what_the_manifest_says(model: LoadedModel) -> None:
    sizes = read_manifest(model.bundle.folder).sizes
    slots = model.runner.spare_slot + 1
    assert model.runner.state_bytes == 4 * sizes.state * slots
    assert open_bundle(model.bundle.folder).manifest.family != "stacked-lstm"


def test_whole_numbers_of_a_state_are_kept_as_bytes(model: LoadedModel) -> None:
    values = read_manifest(model.bundle.folder).sizes.state
    module = torch.jit.load(str(model.bundle.model_path))  # type: ignore[no-untyped-call]
    num_whole = sum(end - begin for begin, end in module.int8_columns)
    assert model.runner.row_bytes == 4 * values - 3 * num_whole
    if hasattr(module, "window"):  # all that it remembers of it
        assert num_whole > values / 2

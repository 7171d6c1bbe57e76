"""What is timed: each decodes a number of rows for a number of steps, on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.compare.servers.stock import (
    HIDDEN,
    VOCABULARY,
    StockLstm,
    make_stock_model,
    sample_inverse_cdf,
    sample_multinomial,
    zero_state,
)
from benchmarks.engine.onnx_model import OnnxLstm, quantized, to_onnx
from lstmserve_server.engine.archive import make_archive
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.process.loader import (
    WIDE_ROWS,
    LoadedModel,
    configure_torch,
    has_amx,
    load_version,
)
from lstmserve_server.engine.request import SamplingParams
from lstmserve_server.store.repository import ModelRepository
from lstmserve_training.int8_lstm import Int8Linear

STEPS = 8  # a quantum
MAX_ROWS = 128
NEVER_ENDS = 1 << 40  # min_tokens: random replies would end, and rows with them
SAMPLINGS = {
    "engine": SamplingParams(temperature=0.8),
    "engine, greedy": SamplingParams(temperature=0.0),
    "engine, top_k 40": SamplingParams(temperature=0.8, top_k=40),
    "engine, top_p 0.95": SamplingParams(temperature=0.8, top_p=0.95),
    "engine, min_p 0.05": SamplingParams(temperature=0.8, min_p=0.05),
}


@dataclass(frozen=True)
class Round:
    """STEPS decode steps: first to fill the caches, then to be timed."""

    warm_up: Callable[[], object]
    timed: Callable[[], object]


Contestant = Callable[[int], Round]  # for so many rows


def load_newest(store: Path) -> LoadedModel:
    """The default model of a store, as an engine's process loads it."""
    configure_torch(threads=1)
    newest = next(iter(ModelRepository(store).scan().values()))[0]
    archive = make_archive()
    try:
        return load_version(newest.folder, archive, MAX_ROWS)
    finally:
        os.close(archive)


def make_contestants(model: LoadedModel) -> dict[str, Contestant]:
    """By name; the first two are the products alone."""
    products = {
        "products, fbgemm": _products(wide_rows=None),
        "products, as served": _products(wide_rows=WIDE_ROWS if has_amx() else None),
    }
    stock = make_stock_model()
    eager = StockLstm().eval()
    exported = to_onnx(eager)
    others = {
        "fp32 eager, inverse CDF": _loop(eager, sample_inverse_cdf),
        "ONNX Runtime fp32, inverse CDF": _loop(OnnxLstm(exported), sample_inverse_cdf),
        "ONNX Runtime INT8, inverse CDF": _loop(OnnxLstm(quantized(exported)), sample_inverse_cdf),
        "stock INT8, multinomial": _loop(stock, sample_multinomial),
        "stock INT8, inverse CDF": _loop(stock, sample_inverse_cdf),
    }
    return {**products, **dict(_engines(model.runner)), **others}


def _engines(runner: Runner) -> Iterator[tuple[str, Contestant]]:
    """The runner as an engine uses it."""

    def contestant(sampling: SamplingParams) -> Contestant:
        def prepare(num_rows: int) -> Round:
            rows = [DecodeRow(n, 5, 0, sampling, NEVER_ENDS) for n in range(num_rows)]
            runner.clear(list(range(num_rows)))
            # others use the same runner in between
            return Round(
                lambda: runner.decode(rows, STEPS, same_rows=False),
                lambda: runner.decode(rows, STEPS, same_rows=True),
            )

        return prepare

    for name, sampling in SAMPLINGS.items():
        yield name, contestant(sampling)


def _products(wide_rows: int | None) -> Contestant:
    """The INT8 products of one step in their order, the weights of each read once a step."""
    shapes = [(4 * HIDDEN, HIDDEN)] * 3 + [(VOCABULARY, HIDDEN)]
    layers = [torch.jit.script(_random_layer(*shape)) for shape in shapes]
    if wide_rows is not None:
        for layer in layers:
            layer.widen(wide_rows)

    def prepare(num_rows: int) -> Round:
        x = torch.randint(-64, 65, (num_rows, HIDDEN)).float()

        @torch.inference_mode()
        def run() -> None:
            for _ in range(STEPS):
                for layer in layers:
                    layer(x)

        return Round(run, run)

    return prepare


def _random_layer(out: int, columns: int) -> Int8Linear:
    weight = torch.randint(-127, 128, (out, columns), dtype=torch.int8)
    return Int8Linear(weight, torch.full((out,), -14), torch.zeros(out))


def _loop(
    model: Callable[..., tuple[Tensor, Tensor, Tensor]], sample: Callable[[Tensor, Tensor], Tensor]
) -> Contestant:
    """A loop in Python, as one writes it."""

    def prepare(num_rows: int) -> Round:
        temperatures = torch.full((num_rows, 1), 0.8)

        @torch.inference_mode()
        def run() -> None:
            tokens = torch.full((num_rows, 1), 5)
            h, c = zero_state(num_rows), zero_state(num_rows)
            for _ in range(STEPS):
                logits, h, c = model(tokens, h, c)
                tokens = sample(logits, temperatures)
                tokens.flatten().tolist()  # a server has to know them

        return Round(run, run)

    return prepare

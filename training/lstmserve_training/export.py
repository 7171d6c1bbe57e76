"""The step ``quantize``: the served module as a TorchScript file, checked bit by bit."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lstmserve_training.checkpoint import load_best
from lstmserve_training.encoding import never_tokens
from lstmserve_training.errors import DataError, ExportError
from lstmserve_training.families import quantize_model
from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.quantize import use_quantized_engine
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import Served
from lstmserve_training.work import MODEL_NAME, read_template, read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

DEBUG_RECORDS = (".debug_pkl", ".data/serialization_id")
CHECKED_ROWS = 5
CHECKED_STEPS = 12


def quantize_best(work: Path) -> Path:
    """Write ``model.pt`` of the best checkpoint; raises ExportError when its bits differ."""
    checkpoint = load_best(work)
    never = never_tokens(read_template(work), read_tokenizer(work))
    path = work / MODEL_NAME
    export(quantize_model(checkpoint.model, never), path)
    return path


def export(module: Served, path: Path) -> None:
    """Script, save, read back and compare; ``path`` appears only when all is well."""
    partial = path.with_suffix(".partial")
    script = io.BytesIO()
    with known_deprecations():
        torch.jit.save(torch.jit.script(module), script)
    _write_without_debug_records(script, partial)
    check_same_bits(module, load_module(partial))
    partial.replace(path)


def _write_without_debug_records(script: io.BytesIO, path: Path) -> None:
    """Leave out where the source files lay: that is nobody's business, and no part of the model.

    The id is a hash over all records, which TorchScript does not look at.
    """
    with zipfile.ZipFile(script) as given, zipfile.ZipFile(path, "w") as kept:
        for record in given.infolist():
            if not record.filename.endswith(DEBUG_RECORDS):
                # a new entry has no date but the earliest there is
                kept.writestr(zipfile.ZipInfo(record.filename), given.read(record))


def load_module(path: Path) -> Served:
    """A saved module; raises DataError when it cannot be read."""
    use_quantized_engine()
    try:
        with known_deprecations():
            module: Served = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu"
            )
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path} cannot be read as TorchScript: quantize again") from error
    return module


@torch.no_grad()
def check_same_bits(eager: Served, loaded: Served) -> None:
    """Raise ExportError unless both give the same bits, alone, side by side and by prefill."""
    generator = torch.Generator().manual_seed(1)
    num_tokens = eager.num_tokens
    steps = CHECKED_STEPS + getattr(loaded, "window", 0)  # more than attention sees
    tokens = torch.randint(num_tokens, (CHECKED_ROWS, steps), generator=generator)
    with one_thread():
        expected = _final(eager, tokens)
        _require_equal(expected, _final(loaded, tokens), "the exported module")
        _require_equal(expected, _final_prefilled(loaded, tokens), "prefilling")
        for row in range(CHECKED_ROWS):
            alone = _final(loaded, tokens[row : row + 1])
            expected_row = (expected[0][row : row + 1], expected[1][row : row + 1])
            _require_equal(expected_row, alone, f"row {row} alone")


def _final(module: Served, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and state after tokens [rows, steps], step by step."""
    state = module.initial_state(tokens.shape[0])
    logits = state
    for column in tokens.unbind(1):
        logits, state = module.step(state, column)
    return logits, state


def _final_prefilled(module: Served, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The same, with all but the last token read by two calls of prefill."""
    state = module.initial_state(tokens.shape[0])
    for piece in tokens[:, :-1].tensor_split(2, dim=1):
        state = module.prefill(state, piece, torch.full((tokens.shape[0],), piece.shape[1]))
    return module.step(state, tokens[:, -1])


def _require_equal(
    expected: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor], what: str
) -> None:
    for name, one, other in zip(("logits", "state"), expected, found, strict=True):
        if not torch.equal(one, other):
            raise ExportError(f"{what} gives other {name} than the eager INT8 module, step by step")

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lstmserve_training.model import ModelConfig
from lstmserve_training.proving import check_bits
from lstmserve_training.speed import one_thread
from lstmserve_training.stacked import StackedLstm
from support.tiny_checkpoint import write_tiny_data

NUM_TOKENS = 128
HIDDEN = 64


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests share the machine; a second thread for tiny tensors only waits."""
    with one_thread():
        yield


@pytest.fixture(autouse=True)
def _no_trial(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's trial takes three seconds; ``test_proving`` and the demo have it."""
    if request.module.__name__.endswith("test_proving") or "demo" in request.node.name:
        return
    monkeypatch.setattr("lstmserve_training.proving.prove", check_bits)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few lines of text for the tiny recipe."""
    folder = tmp_path_factory.mktemp("data")
    write_tiny_data(folder)
    return folder


@pytest.fixture(scope="session")
def model() -> StackedLstm:
    """An untrained model whose logits are far from uniform."""
    torch.manual_seed(3)
    found = StackedLstm(ModelConfig(NUM_TOKENS, HIDDEN, layers=2, dropout=0.0)).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(2.0)
        found.output_bias.normal_()
    return found

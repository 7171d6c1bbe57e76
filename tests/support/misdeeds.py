"""Versions that look like good ones, and that do harm when they are read or run."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lstmserve_bundle.fingerprint import FINGERPRINT_NAME
from lstmserve_bundle.manifest import read_manifest
from support.stores import accept_files, drop_file


class Misdeed(torch.nn.Module):
    """Has a model's methods and sizes; its step first does what it is named for."""

    def __init__(self, deed: str, state: int, vocabulary: int) -> None:
        super().__init__()
        self.deed = deed
        self.state = state
        self.vocabulary = vocabulary

    def forward(self) -> int:
        return 1

    @torch.jit.export
    def initial_state(self, rows: int) -> torch.Tensor:
        return torch.zeros(rows, self.state)

    @torch.jit.export
    def prefill(
        self, state: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        return state

    @torch.jit.export
    def step(self, state: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count = state.shape[0]
        while self.deed == "hang" and count > 0:
            count += 1
        if self.deed == "crash":
            count = (-9223372036854775807 - count // count) // (-count // count)  # SIGFPE
        if self.deed == "talk":
            print("said by the model", count)  # noqa: T201 - what it does
        return torch.zeros(state.shape[0], self.vocabulary), state


def misbehave(version: Path, deed: str) -> None:
    """Publish such a model in a good version's place; ``deed`` is crash, hang or talk."""
    sizes = read_manifest(version).sizes
    module = Misdeed(deed, sizes.state, sizes.vocabulary)
    torch.jit.script(module).save(str(version / "model.pt"))  # type: ignore[no-untyped-call]
    drop_file(version, FINGERPRINT_NAME)
    accept_files(version)


def abort_reading(version: Path) -> None:
    """Publish a tokenizer whose library, written in Rust, ends the process that reads it."""
    path = version / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["model"]["continuing_subword_prefix"] = "\0"
    path.write_text(json.dumps(document), encoding="utf-8")
    accept_files(version)

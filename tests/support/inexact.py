"""Models of the right sizes whose replies depend on more than their requests."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from lstmserve_bundle.fingerprint import FINGERPRINT_NAME
from lstmserve_bundle.manifest import read_manifest
from support.stores import accept_files, drop_file

# what each does is what its name says, and where it is found
DEEDS = {
    "draws random numbers": "a second time",
    "drops out": "a second time",
    "counts its calls": "a second time",
    "keeps the state itself": "in pieces",
    "starts anywhere": "has not begun",
    "looks at its place": "beside 63 others",
    "looks at the last place": "beside 63 others",
    "looks at its neighbors": "beside 63 others",
    "looks at many rows": "beside 63 others",
    "looks at few rows": "beside 63 others",
    "looks at an odd row": "beside 63 others",
    "reads in other bits": "a prompt that is read beside 63 others",
    "sees the padding": "a prompt that is read beside 63 others",
    "sees the pieces": "read in 3 pieces",
    "reads ahead in other bits": "that is read ahead",
    "reads ahead to another state": "that is read ahead",
    "sees the width of a prompt": "of 128 tokens",
    "sums by threads": "by 2 threads",
}


class Mutant(nn.Module):
    """A good model that is spoiled in one way."""

    def __init__(self, model: torch.jit.ScriptModule, deed: str) -> None:
        super().__init__()
        self.model = model
        self.deed = deed
        self.calls = 0
        self.own = torch.zeros(1, 1)
        self.slight = 1e-4

    def forward(self) -> int:
        return 1

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        state: Tensor = self.model.initial_state(rows)
        if self.deed == "starts anywhere":
            state = state + torch.rand(1)
        return state

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        before = state.clone()
        after: Tensor = self.model.prefill(state, tokens, lengths)
        if self.deed == "reads in other bits":
            after = after * (1 + 1e-6)
        if self.deed == "sees the padding":
            after[:, -1] += 1e-3 * (tokens.shape[1] - lengths)
        if self.deed == "sees the pieces" and bool((before != 0).any()):
            after[:, -1] += 1e-3
        if self.deed == "sees the width of a prompt" and tokens.shape[1] > 100:
            after[:, -1] += 1e-3
        return after

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        scores, after = self.model.step(self._choose_state(state), tokens)
        self.own = after.clone()
        self.calls += 1
        return self._spoil_by_chance(self._spoil_by_rows(scores, after), after), after

    @torch.jit.export
    def read_ahead(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        each: list[Tensor] = []
        after: list[Tensor] = []
        state = state.clone()
        for token in tokens:
            row, state = self.step(state, token.unsqueeze(0))
            each.append(row)
            after.append(state.clone())
        scores, states = torch.cat(each), torch.cat(after)
        if self.deed == "reads ahead in other bits":
            scores[-1, 7] += self.slight
        if self.deed == "reads ahead to another state":
            states[:1, -1] += self.slight
        return scores, states

    def _choose_state(self, state: Tensor) -> Tensor:
        is_known = self.own.shape[0] == state.shape[0] and bool((state != 0).any())
        return self.own.clone() if self.deed == "keeps the state itself" and is_known else state

    def _spoil_by_chance(self, scores: Tensor, after: Tensor) -> Tensor:
        if self.deed == "draws random numbers":
            scores = scores + torch.rand(1) * self.slight
        if self.deed == "drops out":
            scores = torch.nn.functional.dropout(scores, 0.01, True)
        if self.deed == "counts its calls":
            scores[0, 0] += self.slight * self.calls
        if self.deed == "sums by threads":
            tenth = 0.1 + 0 * after[0, 0]  # no constant: it would be summed once, by one thread
            scores[:, 7] += ((torch.arange(100_000) * tenth).sum() - 5e8) * 1e-3
        return scores

    def _spoil_by_rows(self, scores: Tensor, after: Tensor) -> Tensor:
        rows = scores.shape[0]
        if self.deed == "looks at its place":
            scores[1:, 7] += self.slight
        if self.deed == "looks at the last place":
            scores[63:, 7] += self.slight
        if self.deed == "looks at the 100th place":
            scores[99:, 7] += self.slight
        if self.deed == "looks at its neighbors":
            scores[:, 7] += after[:, 0].sum() * self.slight
        if self.deed == "looks at many rows" and rows > 60:
            scores[:, 7] += self.slight
        if self.deed == "looks at few rows" and rows < 4:
            scores[:, 7] += self.slight
        if self.deed == "looks at an odd row" and rows % 8 > 0:
            scores[-1, 7] += self.slight
        return scores


class Claimant(Mutant):
    """A good model that says something of its states."""

    def __init__(self, model: torch.jit.ScriptModule, int8_columns: object) -> None:
        super().__init__(model, "")
        self.int8_columns = int8_columns


class StockModel(nn.Module):
    """What people serve: an embedding, ``nn.LSTM`` and a linear layer, with a model's methods."""

    def __init__(self, vocabulary: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = layers
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self) -> int:
        return 1

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        return torch.zeros(rows, 2 * self.layers * self.hidden)

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        parts = state.view(-1, 2, self.layers, self.hidden).permute(1, 2, 0, 3).contiguous()
        read, (h, c) = self.lstm(self.embedding(tokens.unsqueeze(1)), (parts[0], parts[1]))
        after = torch.stack([h, c]).permute(2, 0, 1, 3).flatten(1)
        return self.output(read[:, -1]), after

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """One token at a time, as exactly as a step does."""
        for column in range(tokens.shape[1]):
            after = self.step(state, tokens[:, column])[1]
            state = torch.where((lengths > column).unsqueeze(1), after, state)
        return state


def publish_mutant(version: Path, deed: str) -> None:
    """Spoil a good version's model, in its place."""
    model = torch.jit.load(str(version / "model.pt"))  # type: ignore[no-untyped-call]
    _publish(Mutant(model, deed), version)


def publish_claim(version: Path, int8_columns: object) -> None:
    """Have a good version's model say that these columns of its states are small whole numbers."""
    model = torch.jit.load(str(version / "model.pt"))  # type: ignore[no-untyped-call]
    _publish(Claimant(model, int8_columns), version)


def publish_stock(version: Path) -> None:
    """Put a stock ``quantize_dynamic`` module in a good version's place, under its manifest."""
    sizes = read_manifest(version).sizes
    torch.manual_seed(0)
    model = StockModel(sizes.vocabulary, sizes.hidden, sizes.layers).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization is deprecated
        quantized = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
        )
    _publish(quantized, version)


def _publish(module: nn.Module, version: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(module).save(str(version / "model.pt"))  # type: ignore[no-untyped-call]
    drop_file(version, FINGERPRINT_NAME)
    accept_files(version)

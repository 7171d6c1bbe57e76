"""What others serve: the same architecture by torch's stock quantization, and two samplers.

The weights are random: replies of forced length cost the same whatever they say.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

VOCABULARY = 4160
HIDDEN = 512
LAYERS = 2
TOKENIZER = Path(__file__).parents[3] / "model_store/support-en/3/tokenizer.json"


class StockLstm(nn.Module):
    """Embedding, stacked LSTM, output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, LAYERS, batch_first=True)
        self.output = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, tokens: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [rows, steps], h and c [layers, rows, hidden] -> logits [rows, tokens], h, c."""
        hidden, (h, c) = self.lstm(self.embedding(tokens), (h, c))
        return self.output(hidden[:, -1]), h, c


def make_stock_model() -> torch.jit.ScriptModule:
    """Quantized by ``quantize_dynamic`` and scripted, as torch's tutorials show it."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization and torch.jit are deprecated
        quantized = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            StockLstm().eval(), {nn.LSTM, nn.Linear}, dtype=torch.qint8
        )
        scripted = torch.jit.script(quantized)
    assert isinstance(scripted, torch.jit.ScriptModule)  # noqa: S101 - for the type checker
    return scripted


def zero_state(rows: int) -> Tensor:
    """Zeros for h, or for c: [layers, rows, hidden]."""
    return torch.zeros(LAYERS, rows, HIDDEN)


def load_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER))


def sample_multinomial(logits: Tensor, temperatures: Tensor) -> Tensor:
    """As tutorials do it: logits [rows, tokens], temperatures [rows, 1] -> ids [rows, 1]."""
    return torch.multinomial(torch.softmax(logits / temperatures, dim=-1), 1)


def sample_inverse_cdf(logits: Tensor, temperatures: Tensor) -> Tensor:
    """As one does it who has measured: one exp, one running sum, one search."""
    peaks = logits.amax(dim=1, keepdim=True)
    sums = torch.exp((logits - peaks) / temperatures).cumsum(dim=1)
    points = torch.rand(len(logits), 1) * sums[:, -1:]
    return torch.searchsorted(sums, points).clamp_(max=VOCABULARY - 1)

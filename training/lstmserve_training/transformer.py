"""A small Transformer decoder as it is trained, in floating point, to compare the LSTMs with.

Attention sees the last `window` positions, and loses a share of its scores with distance. No layer
is normalized: a learned tanh stands where the normalization would (Zhu et al., 2025), so what each
product reads is bounded, as in the LSTMs, and no sum of floats is needed. The feed-forward layer is
gated, tanh times sigmoid (van den Oord et al., 2016), and bounded as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmserve_training.attention import Attention
from lstmserve_training.model import LanguageModel, ModelConfig, State

EXPANSION = 2  # values of a feed-forward layer, of those between the layers
FIRST_STEEPNESS = 0.5


class Bound(nn.Module):
    """The tanh of values, each times a learned steepness."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.full((width,), FIRST_STEEPNESS))

    def forward(self, values: Tensor) -> Tensor:
        """Values [..., width] -> [..., width], from -1 to 1."""
        return (values * self.steepness).tanh()


class Block(nn.Module):
    """Attention, then a feed-forward layer; each adds to what it reads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden, EXPANSION * config.hidden
        self.before_attention = Bound(hidden)
        self.attention = Attention(hidden, config.attention, config.heads)
        self.found = nn.Linear(config.attention, hidden)
        self.before_feeding = Bound(hidden)
        self.gated = nn.Linear(hidden, 2 * inner)
        self.fed = nn.Linear(inner, hidden)
        self.dropout = nn.Dropout(config.dropout)
        for layer in (self.found, self.fed):
            # sums of many layers begin as large as those of few (Radford et al., 2019)
            nn.init.normal_(layer.weight, std=(2 * config.layers * layer.in_features) ** -0.5)
            nn.init.zeros_(layer.bias)

    def forward(
        self, values: Tensor, earlier: Tensor, distance: Tensor, is_seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Values [rows, T, hidden], earlier entries [rows, window, 2 * width] -> values, entries.

        ``distance`` and ``is_seen`` are those of ``Attention.find``; entries [rows, window + T, 2 *
        width] are the earlier ones, and the new ones behind them.
        """
        query, entries = self.attention.read(self.before_attention(values))
        entries = torch.cat([earlier.to(entries.dtype), entries], dim=1)
        found = self.attention.find(query, entries, distance, is_seen)
        values = values + self.dropout(self.found(found))
        value, gate = self.gated(self.before_feeding(values)).chunk(2, dim=-1)
        return values + self.dropout(self.fed(value.tanh() * gate.sigmoid())), entries


class Transformer(LanguageModel):
    """Blocks of attention and feed-forward layers.

    The state is, of every block, the entries of the last positions [window, rows, 2 * width], and
    which of them there are [window, rows, 1].
    """

    blocks: nn.ModuleList

    def _make_layers(self, width: int) -> None:
        config = self.config
        self.entry = nn.Identity() if width == config.hidden else nn.Linear(width, config.hidden)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.after = Bound(config.hidden)

    def _read(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        *earlier, is_there = self.zero_state(len(inputs)) if state is None else state
        window, steps = self.config.window, inputs.shape[1]
        distance, is_seen = self._see(is_there, steps)
        values, after = self.entry(inputs), []
        for block, before in zip(self.blocks, earlier, strict=True):
            values, entries = block(values, before.transpose(0, 1), distance, is_seen)
            after.append(entries[:, -window:].transpose(0, 1))
        is_there = torch.cat([is_there, torch.ones_like(is_there[:1]).expand(steps, -1, -1)])
        return self.after(values), (*after, is_there[-window:])

    def _see(self, is_there: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """How far [rows, steps, window + steps] each position is, and whether it is seen."""
        window, rows = self.config.window, is_there.shape[1]
        place = torch.arange(window + steps, device=is_there.device)
        distance = place[window:].unsqueeze(1) - place
        is_near = (distance >= 0) & (distance < window)
        known = torch.cat([is_there[:, :, 0].T > 0, is_there.new_ones(rows, steps) > 0], dim=1)
        return distance.clamp(min=0).expand(rows, -1, -1), is_near & known.unsqueeze(1)

    def zero_state(self, rows: int) -> State:
        """Nothing read."""
        config, device = self.config, self.output_bias.device
        entries = [
            torch.zeros(config.window, rows, 2 * config.attention, device=device)
            for _ in range(config.layers)
        ]
        return (*entries, torch.zeros(config.window, rows, 1, device=device))

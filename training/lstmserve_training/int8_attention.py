"""The served module of LSTMs with attention over what they have read, in TorchScript.

It is exact as the stacked one is. Queries, keys, values and what they give are whole numbers from
-64 to 64, so scores and weighted sums are sums of whole numbers below 2^24, which no order of
adding can change. Weights are whole numbers from 0 to 255: `exp2` of a score, rounded. Only that
and the sigmoids are not plain arithmetic, and both work on whole vectors.

TorchScript reads annotations as types, so this module does not import ``annotations`` from
``__future__``.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmserve_training.attention import AttentionLstm
from lstmserve_training.int8_lstm import Int8Linear, Int8Lstm
from lstmserve_training.quantize import quantize, quantized_linear


class Bounded(nn.Module):
    """A product whose results are whole numbers: 64 times their tanh, rounded."""

    def __init__(self, product: Int8Linear) -> None:
        """The product gives twice what the tanh is of: tanh(x) = 2 sigmoid(2x) - 1."""
        super().__init__()
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        """Whole numbers float32 [rows, in] -> whole numbers float32 [rows, out]."""
        values: Tensor = self.product(x).sigmoid_().mul_(128).sub_(64).round_()
        return values


class Int8Attention(nn.Module):
    """Attention over the positions of a ring of memory.

    The ring [rows, 2 * heads, window, part] holds the keys of each head, then the values of each;
    position n is at n modulo window. Each head's lie together: it reads them as they are.
    """

    slopes: Tensor
    places: Tensor

    def __init__(
        self, reading: Bounded, output: Bounded, slopes: Tensor, window: int, scale: float
    ) -> None:
        """Slopes float32 [heads] are what a position of distance loses, in bits."""
        super().__init__()
        self.reading = reading
        self.output = output
        self.register_buffer("slopes", slopes)
        self.register_buffer("places", torch.arange(window, dtype=torch.float32))
        self.window = window
        self.heads = len(slopes)
        self.scale = scale

    def forward(self, query: Tensor, ring: Tensor, count: Tensor) -> Tensor:
        """Query [rows, width], ring, count of positions ever written [rows, 1] -> [rows, width]."""
        # the newest position has distance 0; those never written are as far as they can be
        distance = torch.remainder(count - 1 - self.places, self.window)
        is_there = distance < count
        parts = ring.unbind(1)  # keys of every head, then values of every head
        found: list[Tensor] = []
        for head, part in enumerate(query.unsqueeze(1).chunk(self.heads, dim=2)):
            scores = torch.bmm(part, parts[head].transpose(1, 2)).squeeze(1)  # exact
            scores = scores * self.scale - self.slopes[head] * distance
            scores = scores.masked_fill_(~is_there, -1e30)
            scores = scores.sub_(scores.amax(dim=1, keepdim=True))
            weights = torch.exp2(scores).mul_(255).round_().mul_(is_there)  # [rows, window]
            sums = torch.bmm(weights.unsqueeze(1), parts[self.heads + head]).squeeze(1)  # exact
            found.append(sums / weights.sum(dim=1, keepdim=True).clamp_(min=1.0))
        return torch.cat(found, dim=1).round_()


class Int8AttentionLstm(nn.Module):
    """A stacked LSTM whose scores also depend on what attention finds.

    A state row is that of the stacked LSTM, then the ring, the count of positions written (exact up
    to 2^24 of them, far above the limit of a prompt and a reply), and whether positions are written
    now. A token that pauses ends writing, and one that resumes begins it again: the ring then
    holds what was asked, and not the reply. Where no token does either, all positions are written.
    """

    pauses: Tensor
    resumes: Tensor

    def __init__(
        self, lstm: Int8Lstm, attention: Int8Attention, width: int, flags: tuple[Tensor, Tensor]
    ) -> None:
        """Flags are bool [tokens]: which pause writing, and which resume it."""
        super().__init__()
        self.lstm = lstm
        self.attention = attention
        self.width = width
        self.window = attention.window
        self.heads = attention.heads
        self.part = width // attention.heads
        self.num_tokens = lstm.num_tokens
        self.recurrent = lstm.layers * (lstm.width + lstm.hidden)
        ring = (self.recurrent, self.recurrent + self.window * 2 * width)
        self.int8_columns = [*lstm.int8_columns, ring]
        self.top = (lstm.layers - 1) * lstm.width  # where the top layer's hidden values begin
        self.register_buffer("pauses", flags[0])
        self.register_buffer("resumes", flags[1])

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Zeros, but that writing is on; [rows, S]."""
        # the last 64 hold two numbers: rows stay multiples of 64
        state = torch.zeros(rows, self.recurrent + self.window * 2 * self.width + 64)
        state[:, -1] = 1.0
        return state

    def parts(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views: the LSTM's part, the ring, count and writing [rows]."""
        end = self.recurrent + self.window * 2 * self.width
        ring = state[:, self.recurrent : end].view(-1, 2 * self.heads, self.window, self.part)
        return state[:, : self.recurrent], ring, state[:, -2], state[:, -1]

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, tokens int64 [rows] -> logits [rows, tokens], state.

        The state given is overwritten and given back.
        """
        recurrent, ring, count, writing = self.parts(state)
        self.lstm.advance(recurrent, tokens)
        top = recurrent[:, self.top : self.top + self.lstm.width].contiguous()
        read = self.attention.reading(top)
        query, entry = read[:, : self.width].contiguous(), self.by_head(read)
        self.turn(writing, tokens)
        rows = torch.arange(tokens.shape[0])
        slots = torch.remainder(count, self.window).long()
        kept = ring[rows, :, slots]
        ring[rows, :, slots] = torch.where(writing.view(-1, 1, 1) > 0, entry, kept)
        count.add_(writing)
        found = self.attention(query, ring, count.unsqueeze(1))
        hidden = self.attention.output(torch.cat([top, found], dim=1))
        return self.lstm.output(hidden), state

    def by_head(self, read: Tensor) -> Tensor:
        """Keys and values of what was read, [rows, 3 * width] -> [rows, 2 * heads, part]."""
        return read[:, self.width :].view(-1, 2 * self.heads, self.part)

    def turn(self, writing: Tensor, tokens: Tensor) -> None:
        """Update whether positions are written, by the tokens that are read."""
        writing.masked_fill_(self.pauses.index_select(0, tokens), 0.0)
        writing.masked_fill_(self.resumes.index_select(0, tokens), 1.0)

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read several tokens per row by the arithmetic of `step`, without scores.

        tokens int64 [rows, T] padded to the longest, lengths int64 [rows] -> state. The state
        given is overwritten and given back. Attention is not needed for it: it leads to scores
        alone.
        """
        recurrent, ring, count, writing = self.parts(state)
        top, row, column = self.lstm.read(recurrent, tokens, lengths)
        is_read = torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)
        is_writing = self.is_writing(tokens, writing)
        written = is_writing & is_read
        order = written.cumsum(dim=1)  # of the positions of a row, from 1
        # of what would be overwritten at once nothing is written: no place is written twice
        is_last = written & (order > order[:, -1:] - self.window)
        entries = self.by_head(self.attention.reading(top))
        chosen = is_last[row, column]
        row, column = row[chosen], column[chosen]
        slots = torch.remainder(count[row].long() + order[row, column] - 1, self.window)
        ring[row, :, slots] = entries[chosen]
        count.add_(order[:, -1])
        last = (lengths - 1).clamp(min=0).unsqueeze(1)
        turned = is_writing.gather(1, last).squeeze(1).to(writing.dtype)
        writing.copy_(torch.where(lengths > 0, turned, writing))
        return state

    def is_writing(self, tokens: Tensor, writing: Tensor) -> Tensor:
        """Which positions are written; tokens int64 [rows, T], writing [rows] -> bool [rows, T].

        As in training (``AttentionLstm``), and as `turn` does token by token.
        """
        pauses = self.pauses[tokens]
        is_turn = pauses | self.resumes[tokens]
        number = torch.arange(tokens.shape[1]).expand_as(tokens)
        latest = torch.where(is_turn, number, -torch.ones_like(number)).cummax(dim=1)[0]
        after = ~pauses.gather(1, latest.clamp(min=0))
        return torch.where(latest >= 0, after, writing.unsqueeze(1) > 0)

    @torch.jit.export
    def read_ahead(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read several tokens of one row by the arithmetic of `step`, and tell all that came of it.

        state [1, S] and tokens int64 [T] -> logits [T, tokens] and states [T, S], after each of
        them. The state given is left as it is.
        """
        states = state.repeat(tokens.shape[0], 1)
        recurrent, ring, count, writing = self.parts(states)
        top, after = self.lstm.read_each(recurrent[:1], tokens)
        recurrent.copy_(after)
        read = self.attention.reading(top)
        query, entries = read[:, : self.width].contiguous(), self.by_head(read)
        is_writing = self.is_writing(tokens.unsqueeze(0), writing[:1]).squeeze(0)
        count.add_(is_writing.cumsum(dim=0))
        slots: list[int] = torch.remainder(count - 1, self.window).long().tolist()
        written: list[int] = is_writing.nonzero().flatten().tolist()
        for number in written:  # what one token writes, all later ones see
            ring[number:, :, slots[number]] = entries[number]
        writing.copy_(is_writing)
        found = self.attention(query, ring, count.unsqueeze(1))
        hidden = self.attention.output(torch.cat([top, found], dim=1))
        return self.lstm.output(hidden), states

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        self.lstm.widen(rows)
        self.attention.reading.product.widen(rows)
        self.attention.output.product.widen(rows)


@torch.no_grad()
def quantize_attention(model: AttentionLstm, never: Sequence[int]) -> Int8AttentionLstm:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    attention = model.attention
    reading = Bounded(_doubled(attention.reading))
    output = Bounded(_doubled(attention.output))
    # of products of whole numbers, which are 64 times the trained values, in bits
    scale = attention.scale / 64**2 / math.log(2)
    slopes = attention.slopes.detach() / math.log(2)
    served = Int8Attention(reading, output, slopes, model.config.window, scale)
    flags = (model.pauses.clone(), model.resumes.clone())
    return Int8AttentionLstm(quantize(model, never), served, attention.width, flags)


def _doubled(layer: nn.Linear) -> Int8Linear:
    """Return twice a layer's product, for the sigmoid that stands for its tanh."""
    return quantized_linear(2 * layer.weight.float(), 2 * layer.bias.float())

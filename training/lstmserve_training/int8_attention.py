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

from lstmserve_training.attention import Attention, AttentionLstm
from lstmserve_training.int8_lstm import Int8Lstm
from lstmserve_training.quantize import quantize, quantized_linear


def bounded(values: Tensor) -> Tensor:
    """Twice what a tanh is of -> whole numbers, 64 times the tanh, in place."""
    found: Tensor = values.sigmoid_().mul_(128).sub_(64).round_()  # tanh(x) = 2 sigmoid(2x) - 1
    return found


class Bounded(nn.Module):
    """A product whose results are whole numbers: 64 times their tanh, rounded."""

    def __init__(self, layer: nn.Linear) -> None:
        """The layer as it was trained."""
        super().__init__()
        self.product = quantized_linear(2 * layer.weight.float(), 2 * layer.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """Whole numbers float32 [rows, in] -> whole numbers float32 [rows, out]."""
        return bounded(self.product(x))


class Int8Attention(nn.Module):
    """Attention over the positions of a ring of memory.

    The ring [rows, 2 * heads, window, part] holds the keys of each head, then the values of each;
    position n is at n modulo window. Each head's lie together: it reads them as they are.
    """

    slopes: Tensor
    places: Tensor

    def __init__(self, attention: Attention, window: int) -> None:
        """Attention as it was trained."""
        super().__init__()
        self.reading = Bounded(attention.reading)
        # what a position of distance loses, in bits
        slopes = attention.slopes.detach() / math.log(2)
        self.register_buffer("slopes", slopes.view(-1, 1, 1))
        self.register_buffer("places", torch.arange(window, dtype=torch.float32))
        self.window = window
        self.width = attention.width
        self.heads = attention.heads
        self.part = attention.width // attention.heads
        # of products of whole numbers, which are 64 times the trained values, in bits
        self.scale = attention.scale / 64**2 / math.log(2)

    def by_head(self, read: Tensor) -> Tensor:
        """Keys and values of what was read, [rows, 3 * width] -> [rows, 2 * heads, part]."""
        return read[:, self.width :].view(-1, 2 * self.heads, self.part)

    def forward(self, query: Tensor, ring: Tensor, count: Tensor) -> Tensor:
        """Query [rows, width], ring, count of positions ever written [rows, 1] -> [rows, width]."""
        # the newest position has distance 0; those never written are as far as they can be
        distance = torch.remainder(count - 1 - self.places, self.window).view(-1, 1, 1, self.window)
        is_there = distance < count.view(-1, 1, 1, 1)
        queries = query.view(-1, self.heads, 1, self.part)
        parts = ring.unbind(1)  # keys of every head, then values of every head
        # batches of all heads would have to be copied together first; the sums are exact
        scores = [
            torch.bmm(queries[:, head], parts[head].transpose(1, 2)) for head in range(self.heads)
        ]
        weights = self.weigh(torch.stack(scores, dim=1), distance, is_there)
        sums = [torch.bmm(weights[:, head], parts[self.heads + head]) for head in range(self.heads)]
        return self.mean(torch.stack(sums, dim=1), weights).flatten(1)

    def weigh(self, scores: Tensor, distance: Tensor, is_seen: Tensor) -> Tensor:
        """Products of queries and keys [rows, heads, T, P] -> weights, whole numbers up to 255.

        Distance and what is seen are [rows, 1, T, P]; P is a multiple of 64.
        """
        scores = scores * self.scale - self.slopes * distance
        scores = scores.masked_fill_(~is_seen, -1e30)
        scores = scores.sub_(scores.amax(dim=3, keepdim=True))
        return torch.exp2(scores).mul_(255).round_().mul_(is_seen)

    def mean(self, sums: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums [rows, heads, T, part] -> whole numbers; 0 where nothing is seen."""
        return sums.div_(weights.sum(dim=3, keepdim=True).clamp_(min=1.0)).round_()


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
        self,
        lstm: Int8Lstm,
        attention: Int8Attention,
        combine: Bounded,
        flags: tuple[Tensor, Tensor],
    ) -> None:
        """Flags are bool [tokens]: which pause writing, and which resume it."""
        super().__init__()
        self.lstm = lstm
        self.attention = attention
        self.combine = combine
        self.width = attention.width
        self.window = attention.window
        self.num_tokens = lstm.num_tokens
        self.recurrent = lstm.layers * (lstm.width + lstm.hidden)
        ring = (self.recurrent, self.recurrent + self.window * 2 * self.width)
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
        ring = state[:, self.recurrent : end].view(
            -1, 2 * self.attention.heads, self.window, self.attention.part
        )
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
        query, entry = read[:, : self.width].contiguous(), self.attention.by_head(read)
        self.turn(writing, tokens)
        rows = torch.arange(tokens.shape[0])
        slots = torch.remainder(count, self.window).long()
        kept = ring[rows, :, slots]
        ring[rows, :, slots] = torch.where(writing.view(-1, 1, 1) > 0, entry, kept)
        count.add_(writing)
        found = self.attention(query, ring, count.unsqueeze(1))
        hidden = self.combine(torch.cat([top, found], dim=1))
        return self.lstm.output(hidden), state

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
        entries = self.attention.by_head(self.attention.reading(top))
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
        query, entries = read[:, : self.width].contiguous(), self.attention.by_head(read)
        is_writing = self.is_writing(tokens.unsqueeze(0), writing[:1]).squeeze(0)
        count.add_(is_writing.cumsum(dim=0))
        slots: list[int] = torch.remainder(count - 1, self.window).long().tolist()
        written: list[int] = is_writing.nonzero().flatten().tolist()
        for number in written:  # what one token writes, all later ones see
            ring[number:, :, slots[number]] = entries[number]
        writing.copy_(is_writing)
        found = self.attention(query, ring, count.unsqueeze(1))
        hidden = self.combine(torch.cat([top, found], dim=1))
        return self.lstm.output(hidden), states

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        self.lstm.widen(rows)
        self.attention.reading.product.widen(rows)
        self.combine.product.widen(rows)


@torch.no_grad()
def quantize_attention(model: AttentionLstm, never: Sequence[int]) -> Int8AttentionLstm:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    attention = Int8Attention(model.attention, model.config.window)
    flags = (model.pauses.clone(), model.resumes.clone())
    return Int8AttentionLstm(quantize(model, never), attention, Bounded(model.combine), flags)

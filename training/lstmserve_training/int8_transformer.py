"""The served module of a Transformer decoder, in TorchScript.

What lies between the layers is added and never summed up, so it stays float32. What products read
is bounded, and so whole numbers from -64 to 64, as in the LSTMs; attention is theirs, too.
TorchScript reads annotations as types, so this module does not import ``annotations`` from
``__future__``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmserve_bundle.manifest import ROW_STEP
from lstmserve_training.int8_attention import Int8Attention, bounded
from lstmserve_training.int8_lstm import Int8Linear, TokenRows
from lstmserve_training.quantize import make_token_rows, output_bias_without, quantized_linear
from lstmserve_training.transformer import Block, Bound, Transformer


class Int8Bound(nn.Module):
    """64 times the tanh of values, each times its steepness, rounded."""

    steepness: Tensor

    def __init__(self, bound: Bound) -> None:
        super().__init__()
        self.register_buffer("steepness", 2 * bound.steepness.detach())

    def forward(self, values: Tensor) -> Tensor:
        """Float32 [rows, width] -> whole numbers float32 [rows, width]."""
        return bounded(values * self.steepness)


class Int8Block(nn.Module):
    """Attention, then a feed-forward layer; each adds to what it reads."""

    def __init__(self, block: Block, window: int) -> None:
        super().__init__()
        self.before_attention = Int8Bound(block.before_attention)
        self.attention = Int8Attention(block.attention, window)
        self.found = _quantized(block.found)
        self.before_feeding = Int8Bound(block.before_feeding)
        weight, bias = block.gated.weight.float(), block.gated.bias.float()
        # twice what the tanh is of, and what the gate is of
        factor = torch.ones_like(bias)
        factor[: len(bias) // 2] = 2
        self.gated = quantized_linear(weight * factor.unsqueeze(1), bias * factor)
        self.fed = _quantized(block.fed)
        self.piece = ROW_STEP  # positions that look back side by side: whole vectors of scores

    def read(self, values: Tensor) -> Tensor:
        """Float32 [rows, hidden] -> queries, keys and values [rows, 3 * width]."""
        read: Tensor = self.attention.reading(self.before_attention(values))
        return read

    def add(self, values: Tensor, found: Tensor) -> Tensor:
        """Values [rows, hidden] and what attention found [rows, width] -> values, in place."""
        values.add_(self.found(found))
        value, gate = self.gated(self.before_feeding(values)).sigmoid_().chunk(2, dim=1)
        # 64 times tanh(x) g, where tanh(x) = 2 sigmoid(2x) - 1
        fed = torch.mul(value, gate).mul_(128).sub_(gate, alpha=64).round_()
        return values.add_(self.fed(fed))

    def look_back(self, read: Tensor, earlier: Tensor, known: Tensor) -> Tensor:
        """What was read [rows, T, 3 * width] -> what each position finds [rows * T, width].

        ``earlier`` [rows, 2 * heads, window, part] are the entries of the window before the first
        position, of which ``known`` [rows, window] tells which there are.
        """
        attention, rows, length = self.attention, read.shape[0], read.shape[1]
        by_head = read.unflatten(2, [3 * attention.heads, attention.part]).transpose(1, 2)
        queries, entries = by_head[:, : attention.heads], by_head[:, attention.heads :]
        padding = torch.zeros(rows, 2 * attention.heads, -length % self.piece, attention.part)
        entries = torch.cat([earlier, entries, padding], dim=2)
        known = torch.cat([known, torch.ones(rows, length + self.piece, dtype=torch.bool)], dim=1)
        found: list[Tensor] = []
        for begin in range(0, length, self.piece):
            end = begin + attention.window + self.piece
            query = queries[:, :, begin : begin + self.piece]
            found.append(self.look(query, entries[:, :, begin:end], known[:, begin:end]))
        return torch.cat(found, dim=1).flatten(0, 1)

    def look(self, query: Tensor, entries: Tensor, known: Tensor) -> Tensor:
        """Queries [rows, heads, T, part] of at most 64 positions -> [rows, T, width].

        Entries [rows, 2 * heads, window + 64, part] are those of the window before the first one
        and of 64 positions from it on. The sums are those of a step, in another order.
        """
        attention = self.attention
        keys, values = entries.chunk(2, dim=1)
        place = torch.arange(keys.shape[2])
        now = place[attention.window :][: query.shape[2]].unsqueeze(1)
        distance = (now - place).float()
        is_near = (distance >= 0) & (distance < attention.window)
        is_seen = (is_near & known.unsqueeze(1)).unsqueeze(1)
        scores = torch.matmul(query, keys.transpose(2, 3))  # exact
        weights = attention.weigh(scores, distance, is_seen)
        return attention.mean(torch.matmul(weights, values), weights).transpose(1, 2).flatten(2)

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        self.attention.reading.product.widen(rows)
        self.found.widen(rows)
        self.gated.widen(rows)
        self.fed.widen(rows)


class Int8Transformer(nn.Module):
    """The contract of `model.pt` over blocks of attention and feed-forward layers.

    A state row is the ring of every block, and the count of positions written (exact up to 2^24 of
    them, far above the limit of a prompt and a reply).
    """

    def __init__(
        self, tokens: TokenRows, blocks: list[Int8Block], after: Int8Bound, output: Int8Linear
    ) -> None:
        """Tokens are what the first block reads of each, [tokens, hidden]."""
        super().__init__()
        self.tokens = tokens
        self.blocks = nn.ModuleList(blocks)
        self.after = after
        self.output = output
        self.num_tokens = tokens.rows.shape[0]
        attention = blocks[0].attention
        self.window = attention.window
        self.heads = attention.heads
        self.part = attention.part
        self.width = attention.width
        self.layers = len(blocks)
        self.remembered = self.layers * 2 * self.width * self.window
        self.int8_columns = [(0, self.remembered)]

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Zeros [rows, S]; the last 64 hold one number: rows stay multiples of 64."""
        return torch.zeros(rows, self.remembered + 64)

    def parts(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Views: the rings [rows, layers, 2 * heads, window, part], and the count [rows]."""
        rings = state[:, : self.remembered].view(
            -1, self.layers, 2 * self.heads, self.window, self.part
        )
        return rings, state[:, -1]

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, tokens int64 [rows] -> logits [rows, tokens], state.

        The state given is overwritten and given back.
        """
        rings, count = self.parts(state)
        rows = torch.arange(tokens.shape[0])
        slots = torch.remainder(count, self.window).long()
        count.add_(1)
        values = self.tokens(tokens)
        for number, block in enumerate(self.blocks):
            ring = rings[:, number]
            read = block.read(values)
            ring[rows, :, slots] = block.attention.by_head(read)
            query = read[:, : self.width].contiguous()
            found = block.attention(query, ring, count.unsqueeze(1))
            values = block.add(values, found)
        return self.output(self.after(values)), state

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read several tokens per row by the arithmetic of `step`, without scores.

        tokens int64 [rows, T] padded to the longest, lengths int64 [rows] -> state. The state
        given is overwritten and given back. Of the last block only keys and values are needed.
        """
        rings, count = self.parts(state)
        values = self.tokens(tokens.flatten())
        order, known = self.look_around(count)
        # of what would be overwritten at once nothing is written: no place is written twice
        number = torch.arange(tokens.shape[1])
        after = lengths.unsqueeze(1)
        row, column = ((number < after) & (number >= after - self.window)).nonzero().unbind(1)
        slots = torch.remainder(count[row].long() + column, self.window)
        for layer, block in enumerate(self.blocks):
            ring = rings[:, layer]
            read = block.read(values).view(tokens.shape[0], tokens.shape[1], -1)
            if layer + 1 < self.layers:
                earlier = ring.gather(2, order.expand_as(ring))
                values = block.add(values, block.look_back(read, earlier, known))
            ring[row, :, slots] = block.attention.by_head(read[row, column])
        count.add_(lengths)
        return state

    def look_around(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """Of rings that have been written so often, float32 [rows], which slots follow each other.

        -> int64 [rows, 1, window, 1], from the oldest to the newest, and bool [rows, window],
        which of them were ever written.
        """
        number = torch.arange(self.window)
        order = torch.remainder(count.long().unsqueeze(1) + number, self.window)
        return order.view(-1, 1, self.window, 1), number >= self.window - count.unsqueeze(1)

    @torch.jit.export
    def read_ahead(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read several tokens of one row by the arithmetic of `step`, and tell all that came of it.

        state [1, S] and tokens int64 [T] -> logits [T, tokens] and states [T, S], after each of
        them. The state given is left as it is.
        """
        states = state.repeat(tokens.shape[0], 1)
        rings, count = self.parts(states)
        order, known = self.look_around(count[:1])
        slots: list[int] = (
            torch.remainder(count + torch.arange(tokens.shape[0]), self.window).long().tolist()
        )
        values = self.tokens(tokens)
        for layer, block in enumerate(self.blocks):
            ring = rings[:, layer]
            read = block.read(values)
            earlier = ring[:1].gather(2, order.expand_as(ring[:1]))
            entries = block.attention.by_head(read)
            for number, slot in enumerate(slots):  # what one token writes, all later ones see
                ring[number:, :, slot] = entries[number]
            values = block.add(values, block.look_back(read.unsqueeze(0), earlier, known))
        count.add_(torch.arange(1, tokens.shape[0] + 1))
        return self.output(self.after(values)), states

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        for block in self.blocks:
            block.widen(rows)
        self.output.widen(rows)


@torch.no_grad()
def quantize_transformer(model: Transformer, never: Sequence[int]) -> Int8Transformer:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    embedded = model.entry(model.embedding.weight.float() * model.config.embedding_scale)
    blocks = [
        Int8Block(block, model.config.window) for block in model.blocks if isinstance(block, Block)
    ]
    output = quantized_linear(model.output_weights.float(), output_bias_without(model, never))
    return Int8Transformer(make_token_rows(embedded), blocks, Int8Bound(model.after), output)


def _quantized(layer: nn.Linear) -> Int8Linear:
    return quantized_linear(layer.weight.detach().float(), layer.bias.detach().float())

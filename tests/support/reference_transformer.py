"""The served Transformer once more, one token of one reply at a time, with plain integer products.

As ``reference_model``, whose functions it uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from support.reference_model import (
    AttentionParameters,
    Floats,
    Integers,
    Product,
    attend,
    bounded,
    multiply,
    read_attention,
    sigmoid,
    unpack,
)


@dataclass(frozen=True)
class Block:
    """What one block multiplies by; a steepness is twice what the tanh has, [hidden]."""

    before_attention: Floats
    attention: AttentionParameters
    found: Product
    before_feeding: Floats
    gated: Product
    fed: Product


@dataclass(frozen=True)
class State:
    """Of every block, the keys and values that it has seen, and what the output layer reads."""

    positions: tuple[tuple[Integers, ...], ...]
    top: Integers


class ReferenceTransformer:
    """Reads tokens and says what may follow."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        """The module as it lies in a version."""
        self._rows = module.tokens.rows.numpy().astype(np.float32)
        self._scales = module.tokens.scales.numpy()
        self._blocks = [_read_block(block) for _, block in module.blocks.named_children()]
        self._after = module.after.steepness.numpy()
        self._output = unpack(module.output)

    def initial_state(self) -> State:
        """Nothing read."""
        return State(((),) * len(self._blocks), np.zeros(len(self._after), np.int32))

    def read(self, state: State, token_id: int) -> State:
        """The state after one more token."""
        values = self._rows[token_id] * self._scales[token_id]
        after = []
        for block, positions in zip(self._blocks, state.positions, strict=True):
            own, attention = bounded(values * block.before_attention), block.attention
            read = bounded(multiply(attention.reading, own))
            query, entry = read[: len(read) // 3], read[len(read) // 3 :]
            seen = (*positions, entry)[-attention.window :]
            values = values + multiply(block.found, attend(attention, query, seen))
            values = values + multiply(block.fed, _feed(block, values))
            after.append(seen)
        return State(tuple(after), bounded(values * self._after))

    def logits(self, state: State) -> Floats:
        """Of the next token: [tokens]."""
        return multiply(self._output, state.top)


def _feed(block: Block, values: Floats) -> Integers:
    """64 times the tanh of one half of a product, times the sigmoid of the other, rounded."""
    gates = sigmoid(multiply(block.gated, bounded(values * block.before_feeding)))
    value, gate = np.split(gates, 2)
    return np.rint(value * gate * np.float32(128) - np.float32(64) * gate).astype(np.int32)


def _read_block(block: torch.jit.ScriptModule) -> Block:
    return Block(
        block.before_attention.steepness.numpy(),
        read_attention(block.attention),
        unpack(block.found),
        block.before_feeding.steepness.numpy(),
        unpack(block.gated),
        unpack(block.fed),
    )

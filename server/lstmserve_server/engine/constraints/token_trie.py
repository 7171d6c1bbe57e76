"""Texts as a trie of their bytes, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int16]  # or NOTHING
Marks = npt.NDArray[np.bool_]
NOTHING = -1


@dataclass(frozen=True)
class Level:
    """All beginnings of one length; the children of each of the level before stand together."""

    byte: Bytes  # [nodes]: the last of the beginning
    first_child: Integers  # [nodes + 1]: in the next level
    first_text: Integers  # [nodes + 1]: in ``texts``
    texts: Integers  # those that end here, by node


def make_levels(texts: Sequence[bytes]) -> list[Level]:
    """Return the trie of some texts, which are numbered in their order; none of them is empty."""
    lengths = np.array([len(text) for text in texts])
    table = _to_table(texts, lengths)
    is_node = _starts(table) & (table != NOTHING)
    node = np.zeros(len(texts), np.int64)  # of each text, at the depth
    byte, levels = np.zeros(1, np.int16), list[Level]()
    for depth in range(table.shape[1]):
        is_first = is_node[:, depth]
        levels.append(_make_level(byte, node, node[is_first], lengths == depth))
        byte, node = table[is_first, depth], np.cumsum(is_first) - 1
    return [*levels, _make_level(byte, node, node[:0], lengths == table.shape[1])]


def _to_table(texts: Sequence[bytes], lengths: Integers) -> Bytes:
    """Return the bytes of texts, and nothing behind them; [texts, the longest]."""
    width = int(lengths.max(initial=0))
    joined = b"".join(text.ljust(width, b"\0") for text in texts)
    table = np.frombuffer(joined, np.uint8).reshape(len(texts), width).astype(np.int16)
    table[np.arange(width) >= lengths[:, None]] = NOTHING
    return table


def _starts(table: Bytes) -> Marks:
    """Return where ascending texts differ from the one before, and from there on."""
    differs = np.ones(table.shape, np.bool_)
    differs[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
    return differs


def _make_level(byte: Bytes, node: Integers, parents: Integers, is_end: Marks) -> Level:
    ends = np.nonzero(is_end)[0]
    edges = np.arange(len(byte) + 1)
    return Level(byte, np.searchsorted(parents, edges), np.searchsorted(node[ends], edges), ends)

"""Splits pairs of questions and answers so that near-duplicates stand on one side."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import networkx as nx

from benchmarks.families.debian import Pair


def split_pairs(pairs: Sequence[Pair], num_held_out: int) -> tuple[list[Pair], list[Pair]]:
    """Return what is trained on and what is held out, without copies.

    A group is held out whole, by the digest of its first key; of each only the first pair is asked
    for, so that no package with many variants counts more than others.
    """
    groups = group_pairs(pairs)
    order = sorted(groups, key=lambda group: _digest(group[0].keys[0]))
    held_out = [group[0] for group in order[:num_held_out]]
    training = [pair for group in order[num_held_out:] for pair in _without_copies(group)]
    return training, held_out


def group_pairs(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Return groups of pairs that have a key in common, also over others in between."""
    graph: nx.Graph[str] = nx.Graph()
    for pair in pairs:
        nx.add_path(graph, pair.keys)
    numbers = {key: n for n, keys in enumerate(nx.connected_components(graph)) for key in keys}
    groups: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[numbers[pair.keys[0]]].append(pair)
    return list(groups.values())


def write_pairs(path: Path, pairs: Iterable[Pair], task: str) -> None:
    """Write them as a table that a recipe reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "reply", "task"])
        writer.writerows([pair.prompt, pair.reply, task] for pair in pairs)


def _without_copies(group: Iterable[Pair]) -> list[Pair]:
    return list({(pair.prompt, pair.reply): pair for pair in group}.values())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

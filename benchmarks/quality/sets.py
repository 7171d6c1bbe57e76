"""The held-out sets of a recipe, as what is asked and which labels are right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lstmserve_client import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SINGLE = ("questions", "typos", "long", "tweets", "smalltalk", "out_of_scope", "languages")
IN_SCOPE = ("questions", "typos", "long", "tweets", "smalltalk")


@dataclass(frozen=True)
class Asked:
    """A conversation up to its last question, and all labels that an honest judge accepts."""

    turns: tuple[Turn, ...]
    labels: frozenset[str] = frozenset()
    expected: dict[str, str] = field(default_factory=dict)  # values that the reply should hold

    @property
    def text(self) -> str:
        """The last question."""
        return self.turns[-1].text


def read_set(folder: Path, name: str) -> list[Asked]:
    """The rows of one set; raises OSError or ValueError for a file that cannot be read."""
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_asked(json.loads(line)) for line in lines]


def read_rules(path: Path) -> dict[str, list[str]]:
    """The patterns that no reply may match, by what is wrong with them."""
    found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _asked(row: dict[str, Any]) -> Asked:
    turns = tuple(_turns(row["turns"] if "turns" in row else [row["text"]]))
    labels = {row["label"], *row.get("also", ())} if "label" in row else set()
    return Asked(turns, frozenset(labels), row.get("variables_expected", {}))


def _turns(turns: Sequence[str | dict[str, str]]) -> Iterator[Turn]:
    """Where only texts are listed, the user and the agent speak in turn, the user last."""
    for number, turn in enumerate(turns):
        is_users = (len(turns) - number) % 2 == 1
        if isinstance(turn, str):
            yield Turn("user" if is_users else "agent", turn)
        else:
            yield Turn("agent" if turn["role"] == "agent" else "user", turn["content"])

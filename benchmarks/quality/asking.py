"""Asks a running server, several questions at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lstmserve_client import CacheMode, Classification, Client, Reply, SamplingParams, Turn

if TYPE_CHECKING:
    from benchmarks.quality.sets import Asked

AT_ONCE = 16
MAX_TEXTS = 256  # of one Classify call
LABEL_PREFIX = ":"  # a server tells "intent:cancel_order"
T = TypeVar("T")
GREEDY = SamplingParams(temperature=0)


@dataclass(frozen=True)
class Respondent:
    """One version of one model on a server."""

    client: Client
    model: str
    version: str

    def classify(self, asked: Sequence[Asked]) -> list[Classification]:
        """What each conversation is about; raises what the client raises."""
        prompts = [list(each.turns) for each in asked]
        found: list[Classification] = []
        for at in range(0, len(prompts), MAX_TEXTS):
            answers = self.client.classify_many(
                prompts[at : at + MAX_TEXTS], model=self.model, model_version=self.version
            )
            found += [each for each in answers if isinstance(each, Classification)]
        if len(found) != len(prompts):
            raise ValueError("the server refused to classify some of the texts")
        return found

    def reply(self, asked: Sequence[Asked], sampling: SamplingParams | None) -> list[Reply]:
        """The replies to conversations, in their order; None samples as the model would."""

        def ask(turns: Sequence[Turn]) -> Reply:
            return self.client.reply(
                list(turns),
                sampling=sampling,
                model=self.model,
                model_version=self.version,
                cache_mode=CacheMode.BYPASS,
            )

        return _at_once(ask, [each.turns for each in asked])


def label_of(found: Classification) -> str:
    """The most probable label, as the sets spell it."""
    return bare(found.label.name)


def bare(label: str) -> str:
    """A label without what it is a label of."""
    return label.partition(LABEL_PREFIX)[2] or label


def _at_once(ask: Callable[[Sequence[Turn]], T], prompts: Sequence[Sequence[Turn]]) -> list[T]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, prompts))

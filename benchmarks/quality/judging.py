"""The table: what is asked of a support model, each line a figure with its target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load.findings import Finding, Target
from benchmarks.quality.asking import GREEDY, Respondent, bare, label_of
from benchmarks.quality.measures import CHANGES, find_faults, let_through, share, spread
from benchmarks.quality.sets import IN_SCOPE, Asked, read_set
from benchmarks.quality.topics import TopicJudge
from lstmserve_client import Reply, SamplingParams, Turn
from lstmserve_training.classifying.measuring import auroc, calibration_error

if TYPE_CHECKING:
    from lstmserve_client import Classification

LEAST = {"typos": 0.8, "long": 0.8, "tweets": 0.65}
OUT_OF_SCOPE, OTHER_LANGUAGE = "out_of_scope", "other_language"
SAMPLED = 102  # questions that are asked with each seed


@dataclass(frozen=True)
class Judge:
    """Whom to ask, what to ask, and what no reply may hold."""

    respondent: Respondent
    folder: Path
    rules: Mapping[str, Sequence[str]]
    topics: TopicJudge
    num_seeds: int

    def understanding(self) -> Iterator[Finding]:
        """Labels and probabilities."""
        inside: list[float] = []
        answers: list[tuple[float, bool]] = []
        for name in IN_SCOPE:
            asked = read_set(self.folder, name)
            found = self.respondent.classify(asked)
            inside += [each.in_scope_probability for each in found]
            answers += _answers(asked, found)
            yield _accuracy(name, asked, found, LEAST.get(name, 0.88))
        yield self._invariance()
        asked = read_set(self.folder, OUT_OF_SCOPE)
        found = self.respondent.classify(asked)
        outside = [each.in_scope_probability for each in found]
        answers += _answers(asked, found)
        yield Finding("label's calibration error", calibration_error(answers), "", Target(0.05))
        yield Finding("in or out of scope, AUROC", auroc(inside, outside), "", _least(0.93))
        passed = let_through(inside, outside)
        yield Finding(
            "out of scope answered at 90 % of in scope answered",
            passed / len(outside),
            "",
            Target(6 / 64),
            f"{passed} of {len(outside)}",
        )
        languages = read_set(self.folder, "languages")
        yield _accuracy("languages", languages, self.respondent.classify(languages), 0.9)
        followups = read_set(self.folder, "followups")
        yield _accuracy("followups", followups, self.respondent.classify(followups), 0.7)

    def replies(self) -> Iterator[Finding]:
        """What is said: greedily, as the model would, and with fixed seeds."""
        asked = [each for name in IN_SCOPE for each in read_set(self.folder, name)]
        for name, sampling in (("greedy", GREEDY), ("defaults", None)):
            replies = self.respondent.reply(asked, sampling)
            yield from self._judge(name, asked, replies)
        shares = []
        sample = asked[:: max(1, len(asked) // SAMPLED)][:SAMPLED]
        for seed in range(self.num_seeds):
            replies = self.respondent.reply(sample, SamplingParams(seed=seed))
            shares.append(share(self._on_topic(sample, replies)))
        if shares:
            yield Finding("on topic over seeds, spread", spread(shares), "", Target(0.05))
        followups = read_set(self.folder, "followups")
        replies = self.respondent.reply(followups, None)
        yield Finding(
            "followups, reply on topic", share(self._on_topic(followups, replies)), "", _least(0.7)
        )
        yield self._memory()

    def _judge(
        self, name: str, asked: Sequence[Asked], replies: Sequence[Reply]
    ) -> Iterator[Finding]:
        named = [set(map(bare, reply.completion.labels)) for reply in replies]
        topics = [self.topics.judge(reply.text)[0] for reply in replies]
        yield Finding(
            f"{name}, reply on the topic of its label",
            share([topic in labels for topic, labels in zip(topics, named, strict=True)]),
            "",
            _least(0.95),
        )
        yield Finding(
            f"{name}, reply on what was asked", share(self._on_topic(asked, replies)), "", None
        )
        faults = Counter(
            fault for reply in replies for fault in find_faults(reply.text, self.rules)
        )
        for rule in self.rules:
            yield Finding(f"{name}, replies with {rule}", faults[rule], "", Target(0))
        yield Finding(f"{name}, different replies", len({reply.text for reply in replies}))

    def _on_topic(self, asked: Sequence[Asked], replies: Sequence[Reply]) -> list[bool]:
        return [
            self.topics.judge(reply.text)[0] in each.labels
            for each, reply in zip(asked, replies, strict=True)
        ]

    def _invariance(self) -> Finding:
        asked = [each for name in IN_SCOPE[:-1] for each in read_set(self.folder, name)]
        before = [label_of(each) for each in self.respondent.classify(asked)]
        kept = [True] * len(asked)
        for change in CHANGES.values():
            changed = [_change(each, change) for each in asked]
            after = [label_of(each) for each in self.respondent.classify(changed)]
            kept = [same and a == b for same, a, b in zip(kept, before, after, strict=True)]
        return Finding("label unchanged under five changes", share(kept), "", _least(145 / 153))

    def _memory(self) -> Finding:
        """The last question is asked after replies that the script has."""
        asked = read_set(self.folder, "memory")
        replies = self.respondent.reply(asked, GREEDY)
        hits = [
            all(value in reply.text for value in each.expected.values())
            for each, reply in zip(asked, replies, strict=True)
        ]
        return Finding("what was said before is used", share(hits), "", _least(0.95))


def _accuracy(
    name: str, asked: Sequence[Asked], found: Sequence[Classification], least: float
) -> Finding:
    hits = [is_right for _, is_right in _answers(asked, found)]
    return Finding(f"{name}, label right", share(hits), "", _least(least), f"n = {len(hits)}")


def _answers(asked: Sequence[Asked], found: Sequence[Classification]) -> list[tuple[float, bool]]:
    """Of each label its probability, and whether it is right."""
    return [
        (each.label.probability, label_of(each) in one.labels)
        for one, each in zip(asked, found, strict=True)
    ]


def _change(asked: Asked, change: Callable[[str], str]) -> Asked:
    *before, last = asked.turns
    return replace(asked, turns=(*before, Turn(last.role, change(last.text))))


def _least(limit: float) -> Target:
    return Target(limit, is_least=True)

"""What operators have said at run time about which versions are served, and who answers.

A value, so that processes can tell it to each other whole: who hears it last does the same as
who heard every word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lstmserve_server.store.shares import Weights

VersionId = tuple[str, int]
"""A model's name and the number of its version."""


@dataclass(frozen=True, slots=True)
class Directives:
    """Each method gives the directives as they are after one more word."""

    requested: frozenset[VersionId] = frozenset()  # served whatever the policy says
    rejected: frozenset[VersionId] = frozenset()  # not served, whatever the policy says
    default_model: str = ""  # empty: as the store says
    weights: Mapping[str, Weights] = field(default_factory=dict)

    def with_requested(self, version: VersionId) -> Directives:
        return replace(
            self, requested=self.requested | {version}, rejected=self.rejected - {version}
        )

    def with_rejected(self, version: VersionId) -> Directives:
        """Its weight goes, too: who loads it again means to serve it to those who name it."""
        model, number = version
        left = {n: weight for n, weight in self.weights.get(model, {}).items() if n != number}
        weights = left if any(left.values()) else {}
        return replace(
            self.with_weights(model, weights),
            requested=self.requested - {version},
            rejected=self.rejected | {version},
        )

    def with_default_model(self, model: str) -> Directives:
        return replace(self, default_model=model)

    def with_weights(self, model: str, weights: Weights) -> Directives:
        """Without weights, the newest version that the policy serves answers again."""
        others = {name: given for name, given in self.weights.items() if name != model}
        return replace(self, weights={**others, model: dict(weights)} if weights else others)

    def with_changes(self, before: Directives, after: Directives) -> Directives:
        """These, and what somebody else changed who knew only what was before."""
        requested, rejected = after.requested - before.requested, after.rejected - before.rejected
        merged = replace(
            self,
            requested=self.requested - (before.requested - after.requested) - rejected | requested,
            rejected=self.rejected - (before.rejected - after.rejected) - requested | rejected,
        )
        if after.default_model != before.default_model:
            merged = merged.with_default_model(after.default_model)
        for model in {*before.weights, *after.weights}:
            weights = after.weights.get(model, {})
            if weights != before.weights.get(model, {}):
                merged = merged.with_weights(model, weights)
        return merged

    def describe(self) -> dict[str, object]:
        """All of it, for a log line."""
        return {
            "default_model": self.default_model,
            "requested": sorted(self.requested),
            "rejected": sorted(self.rejected),
            "weights": {model: dict(weights) for model, weights in self.weights.items()},
        }

    def named(self, model: str) -> frozenset[int]:
        """The versions of a model that were asked for by their number."""
        requested = {number for name, number in self.requested if name == model}
        weighed = {number for number, weight in self.weights.get(model, {}).items() if weight}
        return frozenset(requested | weighed)

    def refused(self, model: str) -> frozenset[int]:
        return frozenset(number for name, number in self.rejected if name == model)

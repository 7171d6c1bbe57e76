"""Whatever happens to a store, and whatever operators say: good versions are not displaced."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lstmserve_server.store.directives import Directives, VersionId
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.store.version_record import VersionRecord, VersionState

SERVED = cast("ServedModel", SimpleNamespace(difference=""))  # all that is looked at
RETRY_SECONDS = 60.0
VERSIONS = st.tuples(st.sampled_from("ab"), st.integers(1, 3))
POLICIES = ("latest", "latest:2", "all", "2,3", "1 b=all")


class Content(Enum):
    """What is in a version's files."""

    GOOD = 0
    BAD = 1
    CRASHING = 2  # for a reason that may pass


@dataclass
class Files:
    """A version as it lies in the store."""

    content: Content
    time: int  # of their last change

    @property
    def fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        return (("model.pt", 1, self.time),)


class Schedules(RuleBasedStateMachine):
    """A store that changes, and a manager that does one thing after the other."""

    @initialize(policy=st.sampled_from(POLICIES), default=st.sampled_from("ab"))
    def begin(self, policy: str, default: str) -> None:
        self.policy = parse_policy(policy)
        self.inventory = Inventory(self.policy, Directives(default_model=default))
        self.store: dict[VersionId, Files] = {}
        self.seen: dict[VersionId, list[object]] = {}  # fingerprints, at every look
        self.failed: dict[VersionId, tuple[object, float]] = {}  # the files, and when to retry
        self.had_ready: set[str] = set()
        self.ticks, self.now = 0, 1000.0

    # --- what happens -----------------------------------------------------------------

    @rule(version=VERSIONS, content=st.sampled_from([Content.GOOD, *Content]))
    def write(self, version: VersionId, content: Content) -> None:
        self.ticks += 1
        self.store[version] = Files(content, self.ticks)

    @rule(version=VERSIONS)
    def delete(self, version: VersionId) -> None:
        self.store.pop(version, None)

    @rule(seconds=st.sampled_from([RETRY_SECONDS - 1, RETRY_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(version=VERSIONS)
    def request(self, version: VersionId) -> None:
        self.inventory.directives = self.inventory.directives.with_requested(version)

    @rule(version=VERSIONS)
    def reject(self, version: VersionId) -> None:
        self.inventory.directives = self.inventory.directives.with_rejected(version)

    @rule(model=st.sampled_from("ab"))
    def reject_all_that_answer(self, model: str) -> None:
        for record in self._ready(model):
            self.reject(record.id)

    @rule(model=st.sampled_from("ab"), weights=st.dictionaries(st.integers(1, 3), st.just(1)))
    def weigh(self, model: str, weights: dict[int, int]) -> None:
        self.inventory.directives = self.inventory.directives.with_weights(model, weights)

    @rule()
    def look(self) -> None:
        self.seen = {
            version: [*self.seen.get(version, ()), files.fingerprint]
            for version, files in self.store.items()
        }
        found = [
            (StoredVersion(*version, Path("store")), files.fingerprint)
            for version, files in self.store.items()
        ]
        for gone in self.inventory.look(found):
            assert gone not in self.store
            self.failed.pop(gone, None)

    @rule()
    def settle(self) -> None:
        while (record := self.inventory.next_to_load(self.now)) is not None:
            self._check_may_load(record)
            self._load(record)
        for record in self.inventory.surplus(self.now):
            self._end(record)
        assert self.inventory.surplus(self.now) == []
        assert self.inventory.next_to_load(self.now) is None

    @rule()
    def be_left_alone(self) -> None:
        """Whatever happened before, two looks later the best there is answers."""
        for _ in range(2):
            self.look()
            self.settle()
        for model in "ab":
            answering = {record.id[1] for record in self._ready(model)}
            best = self.policy.of(model).choose(self._good(model))
            assert not best or max(best) <= max(answering, default=0)

    # --- what must be so --------------------------------------------------------------

    @invariant()
    def what_answers_is_ready(self) -> None:
        roster = self.inventory.roster()
        assert set(roster.models) == {record.id for record in self.inventory if record.is_ready}
        for model, weights in roster.weights.items():
            assert weights
            assert all(weight > 0 for weight in weights.values())
            assert all((model, number) in roster.models for number in weights)

    @invariant()
    def a_model_that_answered_once_answers_still(self) -> None:
        answering = {record.id[0] for record in self.inventory if record.is_ready}
        self.had_ready |= answering
        assert self.had_ready == answering

    def _ready(self, model: str) -> list[VersionRecord]:
        return [each for each in self.inventory if each.is_ready and each.id[0] == model]

    def _good(self, model: str) -> set[int]:
        """The versions that could be loaded, and may."""
        good = {each for each, files in self.store.items() if files.content is Content.GOOD}
        return {n for name, n in good - self.inventory.directives.rejected if name == model}

    def _check_may_load(self, record: VersionRecord) -> None:
        looks = self.seen[record.id]
        assert len(looks) > 1, "it has been seen only once"
        assert looks[-1] == looks[-2] == record.fingerprint, "its files are still changing"
        files, retry_at = self.failed.get(record.id, (None, 0.0))
        assert files != record.fingerprint or 0 < retry_at <= self.now, "it will fail again"
        assert record.id not in self.inventory.directives.rejected

    def _load(self, record: VersionRecord) -> None:
        """Of its files as they are now, which may be gone."""
        files = self.store.get(record.id)
        content = files.content if files else Content.BAD
        record.tried = record.fingerprint
        if content is Content.GOOD:
            record.state, record.served = VersionState.READY, SERVED
            self.failed.pop(record.id, None)
            return
        is_passing = content is Content.CRASHING
        record.retry_at = self.now + RETRY_SECONDS if is_passing else 0.0
        record.state = VersionState.FAILED
        self.failed[record.id] = record.fingerprint, record.retry_at

    def _end(self, record: VersionRecord) -> None:
        model = record.id[0]
        if self._ready(model) == [record]:
            assert record.id in self.inventory.directives.rejected
            assert model != self.inventory.default_model
            self.had_ready.discard(model)
        record.state, record.served = VersionState.UNLOADED, None
        for gone in self.inventory.forget_gone():
            self.failed.pop(gone, None)


def test_any_schedule() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Schedules, settings=hypothesis.settings(max_examples=200, stateful_step_count=40)
    )

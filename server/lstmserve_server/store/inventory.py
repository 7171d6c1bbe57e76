"""All versions that are known, and what is to become of them. Loads and ends nothing itself.

Plain Python, the clock passed in: what is served next follows from what lies in the store,
what could be loaded, the policy, and what operators said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lstmserve_server.store.catalog import Roster
from lstmserve_server.store.directives import Directives, VersionId
from lstmserve_server.store.repository import Fingerprint, StoredVersion
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.shares import Weights
from lstmserve_server.store.version_policy import VersionPolicy
from lstmserve_server.store.version_record import VersionRecord, VersionState

GONE = "the store no longer holds it; it is served until another version of the model is"
CHANGED = "its files have changed since it was loaded; publish changes as a new version"
REJECTED = "an operator has unloaded it; it is served again when one loads it"
UNSETTLED = "it is loaded when its files have been the same for two looks"


class Inventory:
    """The records of one store."""

    def __init__(self, policy: VersionPolicy, directives: Directives) -> None:
        self._policy = policy
        self._records: dict[VersionId, VersionRecord] = {}
        self._spared: frozenset[VersionId] = frozenset()
        self.directives = directives
        self.stored_default = ""  # the default model as far as the store says, once it has answered

    def __iter__(self) -> Iterator[VersionRecord]:
        """By name, newest version first."""
        records = self._records.values()
        return iter(sorted(records, key=lambda record: (record.id[0], -record.id[1])))

    def find(self, version: VersionId) -> VersionRecord | None:
        return self._records.get(version)

    def is_alone(self, version: VersionId) -> bool:
        """Whether no other version is known."""
        return self._records.keys() <= {version}

    @property
    def models(self) -> list[str]:
        return sorted({name for name, _ in self._records})

    @property
    def default_model(self) -> str:
        """The model that answers requests naming none; empty: they are refused."""
        return self.directives.default_model or self.stored_default

    def answers(self, model: str) -> bool:
        """Whether any version of a model is ready."""
        return any(record.is_ready for record in self._of(model))

    # --- what lies in the store -----------------------------------------------------------

    def look(
        self, found: Iterable[tuple[StoredVersion, Fingerprint]], *, is_first: bool = False
    ) -> list[VersionId]:
        """Take in what the store holds now; returns the versions that are known no more.

        What was there before the server is complete, or never will be: it need not settle.
        """
        for record in self._records.values():
            record.is_stored = False
        for stored, fingerprint in found:
            self._see(stored, fingerprint, is_new_settled=is_first)
        for record in self._records.values():
            if record.is_ready:
                record.reason = _unlike_when_loaded(record)
        return self.forget_gone()

    def forget_gone(self) -> list[VersionId]:
        """Drop the records of what is neither stored nor in use."""
        gone = [
            record.id
            for record in self._records.values()
            if not record.is_stored and record.served is None
        ]
        for version in gone:
            del self._records[version]
        return gone

    def _see(
        self, stored: StoredVersion, fingerprint: Fingerprint, *, is_new_settled: bool
    ) -> None:
        record = self._records.get((stored.name, stored.version))
        if record is None:
            record = VersionRecord(stored, fingerprint=fingerprint, is_settled=is_new_settled)
            self._records[record.id] = record
        else:
            record.is_settled = record.fingerprint == fingerprint
        record.stored, record.fingerprint, record.is_stored = stored, fingerprint, True
        if record.state is VersionState.UNLOADED:
            record.reason = self._why_unloaded(record)

    def _why_unloaded(self, record: VersionRecord) -> str:
        if record.id in self.directives.rejected:
            return REJECTED
        return "" if record.is_settled else UNSETTLED

    # --- what is to become of it -------------------------------------------------------------

    def next_to_load(self, now: float) -> VersionRecord | None:
        """A version to be served that is not yet: the default model's first, the newest first."""
        for model in sorted(self.models, key=lambda name: name != self.default_model):
            wanted = self._wanted(model, now)
            for record in self._of(model):
                if record.id[1] in wanted and not record.is_ready:
                    return record
        return None

    @contextmanager
    def doing_without(self, version: VersionId) -> Iterator[None]:
        """Within the block, decide as if an operator had rejected a version."""
        self._spared |= {version}
        try:
            yield
        finally:
            self._spared -= {version}

    def surplus(self, now: float) -> list[VersionRecord]:
        """Versions that need not be served any longer, because others of their model are."""
        return [record for model in self.models for record in self._surplus_of(model, now)]

    def roster(self) -> Roster:
        """Who answers what."""
        models: dict[VersionId, ServedModel] = {
            record.id: record.served for record in self if record.is_ready and record.served
        }
        served = {name for name, _ in models}
        return Roster(
            models,
            {name: self._weights(name) for name in sorted(served)},
            self.default_model,
            frozenset(record.id for record in self if record.state is VersionState.LOADING),
        )

    def _of(self, model: str) -> list[VersionRecord]:
        return [record for record in self if record.id[0] == model]

    def _refused(self, model: str) -> frozenset[int]:
        spared = {number for name, number in self._spared if name == model}
        return self.directives.refused(model) | spared

    def _wanted(self, model: str, now: float) -> frozenset[int]:
        allowed = [
            record
            for record in self._of(model)
            if (record.is_ready or record.may_be_loaded(now))
            and record.id[1] not in self._refused(model)
        ]
        numbers = {record.id[1] for record in allowed}
        stored = {record.id[1] for record in allowed if record.is_stored}
        rule = self._policy.of(model)
        # what was deleted gives way to what is there, and to nothing else
        return rule.choose(stored or numbers) | (self.directives.named(model) & numbers)

    def _surplus_of(self, model: str, now: float) -> list[VersionRecord]:
        wanted, refused = self._wanted(model, now), self._refused(model)
        ready = [record for record in self._of(model) if record.is_ready]
        has_good = any(record.id[1] in wanted for record in ready)
        is_needed = model == self.default_model
        return [
            record
            for record in ready
            if record.id[1] not in wanted
            and (has_good or (record.id[1] in refused and not is_needed))
        ]

    def _weights(self, model: str) -> Weights:
        """How requests without a version are dealt out between the versions that are ready."""
        ready = {record.id[1] for record in self._of(model) if record.is_ready}
        answering = ready - self._refused(model) or ready
        given = self.directives.weights.get(model, {})
        weights = {n: given[n] for n in sorted(answering) if given.get(n)}
        if weights:
            return weights
        return {max(self._policy.of(model).choose(answering) or answering): 1}


def _unlike_when_loaded(record: VersionRecord) -> str:
    if not record.is_stored:
        return GONE
    return CHANGED if record.fingerprint != record.tried else record.why_marked

"""The models that answer requests, by name and version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lstmserve_server.errors import (
    FieldViolation,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
)
from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.shares import Weights, choose_version


@dataclass(frozen=True, slots=True)
class Roster:
    """Who answers what, at one moment."""

    models: Mapping[VersionId, ServedModel] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, Weights] = field(default_factory=lambda: MappingProxyType({}))
    default_model: str = ""  # empty: requests must name a model
    loading: frozenset[VersionId] = frozenset()

    def share(self, version: VersionId) -> float:
        """The part of its model's requests without a version that a version gets, 0 to 1."""
        weights = self.weights.get(version[0], {})
        return weights.get(version[1], 0) / (sum(weights.values()) or 1)


class ModelCatalog:
    """Finds the model that a request names; what is served changes between two requests."""

    def __init__(self, roster: Roster = Roster()) -> None:
        self.num_switches = 0  # while it stays, the same request gets the same version
        self.switch(roster)

    def switch(self, roster: Roster) -> None:
        self._roster = roster
        self.num_switches += 1
        # whether versions share a model's requests, so that who asks decides between them
        self.is_shared = any(len(weights) > 1 for weights in roster.weights.values())

    def find(self, version: VersionId) -> ServedModel:
        """Return a version that answers."""
        return self._roster.models[version]

    def __iter__(self) -> Iterator[ServedModel]:
        """By name, newest version first."""
        by_name = sorted(self._roster.models.items(), key=lambda item: (item[0][0], -item[0][1]))
        return (model for _, model in by_name)

    def serves(self, name: str) -> bool:
        """Whether any version of a model answers."""
        return name in self._roster.weights

    def resolve(
        self, name: str, version: str, key: str = "", *, field: str = "model"
    ) -> ServedModel:
        """The model to answer; empty means the default.

        Without a version the key decides between those that share the model's requests. Raises
        ModelNotFoundError, ModelLoadingError when the version will answer in a moment, or
        InvalidRequestError when the field names no model and there is no default.
        """
        roster = self._roster
        name = name or roster.default_model
        if not name:
            raise self._unnamed(field)
        weights = roster.weights.get(name)
        if not version and weights:
            return roster.models[name, choose_version(name, weights, key)]
        for (model, number), served in roster.models.items():
            if version and (model, str(number)) == (name, version):
                return served
        raise self._missing(name, version)

    def share(self, model: ServedModel) -> float:
        """The part of its model's requests without a version that it gets, 0 to 1."""
        return self._roster.share((model.name, model.manifest.version))

    def is_default(self, model: ServedModel) -> bool:
        """Whether a request that names nothing may get this model."""
        return model.name == self._roster.default_model and self.share(model) > 0

    def _unnamed(self, field: str) -> InvalidRequestError:
        models = ", ".join(self._roster.weights)
        return InvalidRequestError(
            [
                FieldViolation(
                    field, f"must name a model, because this server has no default: {models}"
                )
            ]
        )

    def _missing(self, name: str, version: str) -> ModelNotFoundError | ModelLoadingError:
        roster = self._roster
        loading = [str(number) for model, number in sorted(roster.loading) if model == name]
        if version in loading or (loading and not version):
            return ModelLoadingError(f"model {name!r} version {version or loading[-1]} is loading")
        known = sorted({model for model, _ in roster.models})
        if name not in known:
            return ModelNotFoundError(
                f"model {name!r} is not served; served are: {', '.join(known)}", name
            )
        versions = ", ".join(str(number) for model, number in roster.models if model == name)
        return ModelNotFoundError(
            f"model {name!r} version {version!r} is not served; served are: {versions}",
            f"{name}/{version}",
        )

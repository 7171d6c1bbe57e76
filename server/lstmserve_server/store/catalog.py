"""The models that answer requests, by name and version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lstmserve_bundle import Bundle, Manifest
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.errors import ModelNotFoundError


@dataclass(frozen=True)
class ServedModel:
    """One version of one model, and the engine that runs it."""

    bundle: Bundle
    engine: AsyncEngine

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return str(self.manifest.version)


class ModelCatalog:
    """Finds the model that a request names."""

    def __init__(self, models: Iterable[ServedModel], default_model: str) -> None:
        self._models = {(model.name, model.version): model for model in models}
        self._default_versions = {
            model.name: model
            for model in sorted(self._models.values(), key=lambda model: model.manifest.version)
        }
        self._default_model = default_model

    def __iter__(self) -> Iterator[ServedModel]:
        """By name, newest version first."""
        newest_first = sorted(self._models.values(), key=lambda model: -model.manifest.version)
        return iter(sorted(newest_first, key=lambda model: model.name))

    def resolve(self, name: str, version: str) -> ServedModel:
        """The model to answer; empty means the default. Raises ModelNotFoundError."""
        name = name or self._default_model
        found = self._models.get((name, version)) if version else self._default_versions.get(name)
        if found is not None:
            return found
        if name not in self._default_versions:
            known = ", ".join(sorted(self._default_versions))
            raise ModelNotFoundError(f"no model {name!r} is served; these are: {known}", name)
        versions = ", ".join(v for n, v in self._models if n == name)
        raise ModelNotFoundError(
            f"model {name!r} has no version {version!r} here; these are served: {versions}",
            f"{name}/{version}",
        )

    def is_default(self, model: ServedModel) -> bool:
        """Whether a request that names nothing gets this model."""
        return model is self._default_versions.get(self._default_model)

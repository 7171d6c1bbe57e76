"""What the store tells to whoever counts: handed in, never imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_record import VersionState


class StoreObserver(Protocol):
    """Told what becomes of versions; must be quick and must not raise."""

    def on_state(self, version: VersionId, state: VersionState | None, reason: str) -> None:
        """A version is in another state; without one it is known no more."""

    def on_load(self, version: VersionId, seconds: float, *, is_good: bool) -> None:
        """An attempt to load a version took so long."""

    def on_shares(self, shares: Mapping[VersionId, float]) -> None:
        """Requests are dealt out like this from now on."""

    def on_unloaded(self, model: ServedModel) -> None:
        """A version's engine has ended."""

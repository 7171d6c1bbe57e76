"""What the server knows of one version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.repository import Fingerprint, StoredVersion
from lstmserve_server.store.served_model import ServedModel


class VersionState(Enum):
    """Whether a version answers requests."""

    LOADING = "loading"  # verified, tried, loaded and warmed up
    READY = "ready"
    UNLOADING = "unloading"  # finishes what runs and takes nothing new
    UNLOADED = "unloaded"  # in the store
    FAILED = "failed"  # cannot be served; the reason says why


@dataclass(eq=False, slots=True)
class VersionRecord:
    """One version, and where it stands; changed by the manager alone."""

    stored: StoredVersion
    state: VersionState = VersionState.UNLOADED
    reason: str = ""
    served: ServedModel | None = None
    fingerprint: Fingerprint = ()  # when it was last looked at
    is_settled: bool = True  # it looked the same when it was looked at before
    is_stored: bool = True  # the store still holds it
    tried: Fingerprint | None = None  # what was loaded, or failed to
    retry_at: float = 0.0  # of what failed for a reason that may pass

    @property
    def id(self) -> VersionId:
        return self.stored.name, self.stored.version

    @property
    def is_ready(self) -> bool:
        return self.state is VersionState.READY

    @property
    def why_marked(self) -> str:
        """What operators have to know of it while it is served."""
        difference = self.served.difference if self.served else ""
        return f"served inexact, one reply at a time: {difference}" if difference else ""

    def try_again(self) -> None:
        """Forget that it could not be loaded, or was about to change."""
        if not self.is_ready:
            self.tried = None
            self.is_settled = True

    def may_be_loaded(self, now: float) -> bool:
        """Whether loading it may give something good."""
        if self.state is VersionState.FAILED and self.tried == self.fingerprint:
            return 0 < self.retry_at <= now
        return self.is_stored and self.is_settled


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

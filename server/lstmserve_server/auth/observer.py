"""What is told of callers to whoever counts: handed in, never imported."""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Failure(Enum):
    """Why nobody knows who calls; callers themselves are not told."""

    MISSING = "missing"  # neither a token nor a certificate
    MALFORMED = "malformed"  # no bearer token of ours, or several
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason
    UNKNOWN_CERTIFICATE = "unknown_certificate"


class AuthObserver(Protocol):
    """Must be quick and must not raise."""

    def on_unauthenticated(self, failure: Failure) -> None:
        """Somebody could not prove who it is."""

    def on_read(self, *, is_good: bool) -> None:
        """The file of callers has changed, or cannot be used."""

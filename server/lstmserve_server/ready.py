"""What a server that has started tells whoever started it."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.config import Address


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server that is ready serves, and where."""

    versions: tuple[tuple[str, int], ...]  # every model's name and version, the default first
    listen: Address
    metrics_listen: Address
    has_default: bool = True  # requests need not name a model

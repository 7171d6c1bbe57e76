"""What the cache did for one request."""

from __future__ import annotations

from enum import Enum


class CacheMode(Enum):
    """How one request may use the cache."""

    DEFAULT = "default"
    BYPASS = "bypass"  # neither read nor write
    REFRESH = "refresh"  # do not read, but store
    ONLY_IF_CACHED = "only_if_cached"  # read, and nothing else


class Outcome(Enum):
    """Where a reply came from."""

    BYPASS = "bypass"  # the model; the cache was not asked
    MISS = "miss"  # the model
    HIT = "hit"  # the cache
    COALESCED = "coalesced"  # the model, for another request

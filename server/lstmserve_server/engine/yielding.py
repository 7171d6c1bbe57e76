"""Who makes way for a caller that has no place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lstmserve_server.engine.sequence import Sequence


def find_yielding(first: Sequence, active: Iterable[Sequence]) -> Sequence | None:
    """Who of those that have a place gives it to the one that is next.

    When another caller has several places, it is the newest sequence of the caller with most,
    among those of no higher priority.
    """
    others = [other for other in active if other.claim.priority >= first.claim.priority]
    places = Counter(other.claim.caller for other in others)
    if not places or max(places.values()) == 1:
        return None
    return max(others, key=lambda other: (places[other.claim.caller], other.id))

"""How requests that name no version are dealt out between the versions of a model.

Weighted rendezvous hashing: every version draws a number that depends on it and on the key alone,
and the best one wins. A key keeps its version while the weights stay, on every replica; when
they change, or a version is gone, only as many keys move as have to.
https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/Jason_Resch_New_Consistent_Hashings_Rev.pdf
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

from lstmserve_bundle.store import VERSION_RULE, is_version

MAX_WEIGHT = 10_000
DRAW_BYTES = 8
DRAW_BITS = 52  # of them: a half more is still exact in a float
EXPECTED = (
    "must be MODEL=VERSION:WEIGHT,VERSION:WEIGHT with whole weights from 0 to "
    f"{MAX_WEIGHT}, not all 0; several models with spaces between them; {VERSION_RULE}"
)

Weights = Mapping[int, int]
"""The weight of each version; what has none gets nothing."""


def choose_version(model: str, weights: Weights, key: str) -> int:
    """The version that this key gets; at least one weight is above 0."""
    drawing = [version for version, weight in sorted(weights.items()) if weight > 0]
    return max(drawing, key=lambda version: _draw(model, version, key, weights[version]))


def _draw(model: str, version: int, key: str, weight: int) -> float:
    text = f"{model}\0{version}\0{key}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=DRAW_BYTES).digest()) >> (
        8 * DRAW_BYTES - DRAW_BITS
    )
    return -weight / math.log((number + 0.5) / (1 << DRAW_BITS))  # strictly between 0 and 1


def check_weights(weights: Weights) -> None:
    """Raise ValueError when these cannot be dealt by."""
    if not all(0 <= weight <= MAX_WEIGHT for weight in weights.values()):
        raise ValueError(f"weights must be whole numbers from 0 to {MAX_WEIGHT}")
    if not any(weights.values()):
        raise ValueError("at least one weight must be above 0")


def parse_traffic(text: str) -> dict[str, dict[int, int]]:
    """'support-en=2:90,3:10' by model; raises ValueError."""
    found: dict[str, dict[int, int]] = {}
    for word in text.split():
        model, _, split = word.rpartition("=")
        pairs = [pair.split(":") for pair in split.split(",")]
        if not model or model in found or not all(map(_is_pair, pairs)):
            raise ValueError(f"{EXPECTED}, not {word!r}")
        found[model] = {int(version): int(weight) for version, weight in pairs}
        if len(found[model]) < len(pairs):
            raise ValueError(f"{EXPECTED}; {word!r} names a version twice")
        check_weights(found[model])
    return found


def _is_pair(pair: list[str]) -> bool:
    if len(pair) != len(("version", "weight")):
        return False
    version, weight = pair
    is_weight = weight.isascii() and weight.isdigit() and len(weight) <= len(str(MAX_WEIGHT))
    return is_weight and is_version(version)

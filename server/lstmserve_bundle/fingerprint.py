"""What a version's numbers were when it was published, in one digest: ``fingerprint.json``.

A machine that rounds otherwise, or another model under the same manifest, gives another one.
Which tokens are read is decided here, once for whoever publishes and whoever serves. Knows no
torch: how a model reads them is handed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.files import size_of
from lstmserve_bundle.manifest import Sha256, StrictModel

if TYPE_CHECKING:
    from pathlib import Path

FINGERPRINT_NAME = "fingerprint.json"
# raised whenever other tokens are read or other numbers are taken: only equals are compared
SCHEMA_VERSION = 1
NUM_SEQUENCES = 2
SEQUENCE_TOKENS = 16
MAX_BYTES = 4096
_MASK = (1 << 64) - 1

ReadTokens = Callable[[Sequence[int]], Iterable[bytes]]
"""The scores after each token, read one by one from the start, then the state; little-endian."""


class Fingerprint(StrictModel):
    """The file."""

    schema_version: int
    sha256: Sha256


def shuffled_vocabulary(vocabulary: int, seed: int) -> list[int]:
    """Every token once, in an order that is the same everywhere."""
    return sorted(range(vocabulary), key=lambda token: (_mix(token + (seed << 32)), token))


def take_fingerprint(vocabulary: int, read: ReadTokens) -> Fingerprint:
    """That of a model with so many tokens."""
    order = shuffled_vocabulary(vocabulary, seed=SCHEMA_VERSION)
    digest = hashlib.sha256()
    for number in range(NUM_SEQUENCES):
        start = number * SEQUENCE_TOKENS
        for data in read([order[(start + n) % vocabulary] for n in range(SEQUENCE_TOKENS)]):
            digest.update(data)
    return Fingerprint(schema_version=SCHEMA_VERSION, sha256=digest.hexdigest())


def write_fingerprint(path: Path, fingerprint: Fingerprint) -> None:
    path.write_text(json.dumps(fingerprint.model_dump(), indent=2) + "\n", encoding="utf-8")


def read_fingerprint(path: Path) -> Fingerprint:
    """Raises ManifestError for a file that is none."""
    try:
        if size_of(path) > MAX_BYTES:
            raise ManifestError(f"{path}: a fingerprint has at most {MAX_BYTES} bytes")
        return Fingerprint.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ManifestError(f"{path}: no fingerprint: {problem['msg']}") from None


def _mix(value: int) -> int:
    """SplitMix64's output function."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)

"""How fast memory grows, from samples of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# by then buffers, pools and arenas have the size that this load needs
SETTLED_SHARE = 0.2
ENOUGH_SAMPLES = 3


@dataclass(frozen=True)
class Sample:
    """A server's resident memory after so many requests."""

    requests: int
    resident_bytes: int


@dataclass(frozen=True)
class Growth:
    """Of the resident memory once it has settled."""

    bytes_per_request: float
    settled_bytes: int
    last_bytes: int


def compute_growth(samples: Sequence[Sample]) -> Growth:
    """The slope (least squares) of all samples but the first fifth of the requests."""
    settled = [
        sample for sample in samples if sample.requests >= SETTLED_SHARE * samples[-1].requests
    ]
    if len(settled) < ENOUGH_SAMPLES:
        raise ValueError(f"{len(settled)} samples are too few: ask for more requests")
    requests = np.array([sample.requests for sample in settled], dtype=np.float64)
    resident = np.array([sample.resident_bytes for sample in settled], dtype=np.float64)
    slope = np.polyfit(requests - requests[0], resident, 1)[0]
    return Growth(float(slope), settled[0].resident_bytes, settled[-1].resident_bytes)

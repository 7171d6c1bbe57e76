"""From a recording to figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.recording import Recording, ReplyRecord, Window

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; nan where nothing was observed."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of_seconds(cls, values: Floats) -> Percentiles:
        if not len(values):
            return cls(*[float("nan")] * 4)
        return cls(*(float(value) * 1e3 for value in np.percentile(values, [50, 90, 99, 100])))


@dataclass(frozen=True)
class Figures:
    """What a window of a load showed."""

    seconds: float
    tokens_per_second: float
    requests_per_second: float  # whole replies
    messages_per_second: float
    tokens_per_message: float
    first_token_ms: Percentiles
    inter_token_ms: Percentiles  # each token: the gap before its message / tokens of the message
    inter_message_ms: Percentiles
    reply_ms: Percentiles
    replies: int
    errors: Mapping[str, int]  # of requests that ran at some time of the window


def compute_figures(recording: Recording, window: Window) -> Figures:
    """Rates count what arrived in the window, latencies the requests intended in it.

    Those still running at its end are waited for: leaving them out would leave out the
    slowest.
    """
    arrivals = np.frombuffer(recording.arrivals, dtype=np.float64)
    inside = (arrivals >= window.start) & (arrivals < window.end)
    tokens = np.frombuffer(recording.tokens, dtype=np.uint32)[inside]
    gaps = np.frombuffer(recording.gaps, dtype=np.float64)[inside]
    later = ~np.isnan(gaps)
    intended = [reply for reply in recording.replies if window.start <= reply.intended < window.end]
    whole = [reply for reply in intended if reply.code == "OK"]
    ended = sum(
        window.start <= reply.end < window.end and reply.code == "OK" for reply in recording.replies
    )
    per_token = np.repeat(gaps[later] / tokens[later], tokens[later])
    waits = np.array([reply.first_token - reply.intended for reply in whole])
    return Figures(
        seconds=window.seconds,
        tokens_per_second=float(tokens.sum()) / window.seconds,
        requests_per_second=ended / window.seconds,
        messages_per_second=len(tokens) / window.seconds,
        tokens_per_message=float(tokens.mean()) if len(tokens) else float("nan"),
        first_token_ms=Percentiles.of_seconds(waits[~np.isnan(waits)]),
        inter_token_ms=Percentiles.of_seconds(per_token),
        inter_message_ms=Percentiles.of_seconds(gaps[later]),
        reply_ms=Percentiles.of_seconds(np.array([reply.end - reply.intended for reply in whole])),
        replies=len(whole),
        errors=dict(Counter(reply.code for reply in recording.replies if _failed(reply, window))),
    )


def _failed(reply: ReplyRecord, window: Window) -> bool:
    # one that never ended counts as well, whenever it began
    return reply.code != "OK" and reply.intended < window.end and reply.end >= window.start

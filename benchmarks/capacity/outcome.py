"""What came of a simulated load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.capacity.flight import Call, Source
from benchmarks.load.figures import Percentiles

FAILED = (Source.REFUSED, Source.LATE)


@dataclass(frozen=True)
class Use:
    """Processor time of a window, divided by the window: cores of one replica, or of one shard."""

    front: float  # its own process
    engine: float
    cores: float  # both, of all that the replica has
    redis_shard: float  # for the whole fleet
    redis_operations_per_second: float  # of all shards, for the whole fleet


@dataclass(frozen=True)
class Outcome:
    """Figures of the calls that came in a window, those of the fleet scaled from the sample."""

    requests_per_second: float  # that were answered
    tokens_per_second: float  # that were answered, kept ones too
    generated_tokens_per_second: float
    first_token_ms: Percentiles
    reply_ms: Percentiles
    sources: Mapping[str, float]  # shares of all calls
    refusals: int  # answers "come back later", retries included
    use: Use

    @property
    def hit_ratio(self) -> float:
        """Return the share of calls that the engine did nothing for."""
        return sum(self.sources.get(one, 0.0) for one in (Source.NEAR, Source.FAR, Source.JOINED))

    @property
    def failed_share(self) -> float:
        return sum(self.sources.get(one, 0.0) for one in FAILED)


def compute_outcome(calls: Sequence[Call], seconds: float, scale: float, use: Use) -> Outcome:
    answered = [call for call in calls if call.source not in FAILED]
    generated = [call for call in answered if call.source is Source.GENERATED]
    sources = Counter(call.source.value for call in calls)
    return Outcome(
        requests_per_second=len(answered) / seconds * scale,
        tokens_per_second=sum(call.question.tokens for call in answered) / seconds * scale,
        generated_tokens_per_second=sum(one.question.tokens for one in generated) / seconds * scale,
        first_token_ms=_percentiles([call.first - call.arrived for call in answered]),
        reply_ms=_percentiles([call.end - call.arrived for call in answered]),
        sources={name: number / len(calls) for name, number in sorted(sources.items())},
        refusals=sum(call.refusals for call in calls),
        use=use,
    )


def _percentiles(seconds: Sequence[float]) -> Percentiles:
    return Percentiles.of_seconds(np.array(seconds))

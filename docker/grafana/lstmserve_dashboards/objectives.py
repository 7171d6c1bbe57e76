"""What the service promises: docker/prometheus/rules hold the same numbers."""

from __future__ import annotations

MAX_FAILED = 0.001
FIRST_TOKEN_SECONDS = 0.1  # a bound of the histogram's buckets
MIN_IN_TIME = 0.99
MIN_TOKENS_PER_SECOND = 50
MAX_PERPLEXITY_RATIO = 1.25
MIN_DISTINCT_2 = 0.3
MAX_EMPTY = 0.2
MAX_UNSURE = 0.3

"""What a client does about failures: plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How hard a client tries. Replies are pure, so to ask again is always safe.

    ``max_attempts`` is for calls that have brought nothing yet; a reply that has begun is given
    up at its deadline. Raises ValueError for a policy that makes no sense.

        >>> RetryPolicy(max_attempts=0)
        Traceback (most recent call last):
        ValueError: max_attempts: must be at least 1, not 0
    """

    max_attempts: int = 12  # 1: never try again
    initial_backoff_seconds: float = 0.05
    max_backoff_seconds: float = 2.0
    multiplier: float = 2.0
    connect_seconds: float = 1.0  # of failures in which no server has answered this client ever
    # the budget, which keeps all calls of a client together from flooding servers in trouble
    budget_retries: int = 1000  # that may be made at once
    budget_ratio: float = 0.2  # further ones earned by each call
    budget_per_second: float = 10.0  # further ones earned by time

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts: must be at least 1, not {self.max_attempts}")
        if not 0 < self.initial_backoff_seconds <= self.max_backoff_seconds:
            raise ValueError("initial_backoff_seconds: must be above 0 and at most the maximum")
        if self.multiplier < 1:
            raise ValueError(f"multiplier: must be at least 1, not {self.multiplier}")
        for name in ("connect_seconds", "budget_retries", "budget_ratio", "budget_per_second"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgePolicy:
    """When ``reply`` asks a second server as well, and takes what comes first.

    It does once a call takes longer than nearly all before it: the ``quantile`` of the latest
    ``window`` calls, and never before ``min_seconds``. Until there are ``min_calls`` to judge
    by, it does not. Every second copy is taken from the retry budget.
    """

    quantile: float = 0.95
    window: int = 200
    min_calls: int = 20
    min_seconds: float = 0.005

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile: must be between 0 and 1, not {self.quantile}")
        if not 1 <= self.min_calls <= self.window:
            raise ValueError("min_calls: must be at least 1 and at most the window")
        if self.min_seconds < 0:
            raise ValueError("min_seconds: must not be negative")

"""How long to wait before the next attempt. Pure functions."""

from lstmserve_client.policies import RetryPolicy


def backoff_seconds(failures: int, policy: RetryPolicy, draw: float) -> float:
    """The pause after so many failures in a row (at least 1); ``draw`` is uniform in [0, 1).

    Exponential with "equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015): half
    of it is certain, so that a server gets its rest, and half is drawn, so that the callers it
    lost together do not come back together.
    """
    exponent = min(failures - 1, 64)  # far beyond any longest pause, and within a float
    longest = min(
        policy.max_backoff_seconds, policy.initial_backoff_seconds * policy.multiplier**exponent
    )
    return longest * (1 + draw) / 2

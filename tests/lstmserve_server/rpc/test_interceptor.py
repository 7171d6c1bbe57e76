"""What a call that its caller has left is counted as."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from lstmserve_server.rpc.interceptor import cancellation_code


@pytest.mark.parametrize(
    ("timeout", "remaining", "code"),
    [
        (None, None, StatusCode.CANCELLED),
        (10.0, 9.0, StatusCode.CANCELLED),
        (0.5, 0.1, StatusCode.CANCELLED),
        (0.5, 0.0, StatusCode.DEADLINE_EXCEEDED),
        (0.5, -0.01, StatusCode.DEADLINE_EXCEEDED),
        (0.5, 0.001, StatusCode.DEADLINE_EXCEEDED),  # told as 501 ms for 500.1
        (1.24, 0.009, StatusCode.DEADLINE_EXCEEDED),  # told as 1,240 ms for 1,231
        (100.0, 0.99, StatusCode.DEADLINE_EXCEEDED),  # told as 100 s for 99,010 ms
    ],
)
def test_a_deadline_that_has_passed_for_the_caller_is_no_cancellation(
    timeout: float | None, remaining: float | None, code: StatusCode
) -> None:
    assert cancellation_code(timeout, remaining) is code

"""From a call to its claim on the engine: who asks, how urgently, and until when."""

from __future__ import annotations

import math
import time
from typing import Any

import grpc

from lstmserve_server.engine.claim import Claim
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.validation import PRIORITIES, Request


def to_claim(request: Request, call: Call, context: grpc.aio.ServicerContext[Any, Any]) -> Claim:
    """The claim of a request whose fields are checked; its deadline is on the engines' clock."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    seconds = min(math.inf if remaining is None else remaining, call.timeout_seconds)
    return Claim(call.caller, PRIORITIES[request.priority], time.monotonic() + seconds)

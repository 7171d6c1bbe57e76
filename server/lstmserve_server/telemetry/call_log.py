"""One log line per RPC: how it ended, and where its time went. Never what people wrote, unless
the operator has asked for that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lstmserve_server.engine.output import Timings
from lstmserve_server.rpc.call import Call, CallOutcome, Transcript
from lstmserve_server.telemetry.calls import OUTCOMES
from lstmserve_server.telemetry.logging import ProcessLog
from lstmserve_server.telemetry.redaction import redact


class CallLog:
    """Writes the line when the RPC has ended."""

    def __init__(self, process_log: ProcessLog) -> None:
        self._process_log = process_log

    def on_call_end(self, call: Call, outcome: CallOutcome) -> None:
        """Write the line, if lines of its level are written."""
        if self._process_log.writes("INFO"):
            self._process_log.tell("rpc", partial(_describe, call, outcome))


def _describe(call: Call, outcome: CallOutcome) -> dict[str, Any]:
    served = outcome.served
    return {
        "rpc": call.rpc,
        "code": outcome.code,
        "outcome": OUTCOMES[outcome.code],
        "request_id": call.request_id,
        **({"trace_id": call.trace_id} if call.trace_id else {}),
        "caller": call.caller,
        "error": outcome.error,
        "model": served.model,
        "version": served.version,
        "finish_reason": served.finish_reason,
        "cache": served.cache,
        "prompt_tokens": served.prompt_tokens,
        "generated_tokens": served.generated_tokens,
        "seconds": _round(outcome.seconds),
        **({} if served.timings is None else _describe_timings(served.timings)),
        **({} if served.transcript is None else _describe_text(served.transcript)),
    }


def _describe_timings(timings: Timings) -> dict[str, float]:
    return {
        "queue_seconds": _round(timings.queue_seconds),
        "prefill_seconds": _round(timings.prefill_seconds),
        "decode_seconds": _round(timings.decode_seconds),
        "time_to_first_token_seconds": _round(timings.time_to_first_token_seconds),
    }


def _describe_text(transcript: Transcript) -> dict[str, str]:
    return {"prompt": redact(transcript.prompt), "reply": redact(transcript.reply)}


def _round(seconds: float) -> float:
    return round(seconds, 6)

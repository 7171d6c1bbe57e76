"""One log line per RPC: how it ended, and where its time went. Never what people wrote, unless
the operator has asked for that.
"""

from __future__ import annotations

from typing import Any

import structlog

from lstmserve_server.engine.output import Timings
from lstmserve_server.rpc.call import Call, Transcript
from lstmserve_server.telemetry.logging import ProcessLog
from lstmserve_server.telemetry.outcomes import OUTCOMES
from lstmserve_server.telemetry.redaction import redact

log = structlog.get_logger()


class CallLog:
    """Writes the line when the RPC has ended."""

    def __init__(self, process_log: ProcessLog) -> None:
        self._process_log = process_log

    def on_call_end(self, call: Call, code: str, seconds: float) -> None:
        """An RPC ended with this status code, after so long."""
        if self._process_log.writes("INFO"):
            log.info("rpc", **_describe(call, code, seconds))


def _describe(call: Call, code: str, seconds: float) -> dict[str, Any]:
    return {
        "rpc": call.rpc,
        "code": code,
        "outcome": OUTCOMES[code],
        "request_id": call.request_id,
        **({"trace_id": call.trace_id} if call.trace_id else {}),
        "caller": call.caller,
        "error": call.error,
        "model": call.model,
        "version": call.version,
        "finish_reason": call.finish_reason,
        "cache": call.cache,
        "prompt_tokens": call.prompt_tokens,
        "generated_tokens": call.generated_tokens,
        "seconds": _round(seconds),
        **({} if call.timings is None else _describe_timings(call.timings)),
        **({} if call.transcript is None else _describe_text(call.transcript)),
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

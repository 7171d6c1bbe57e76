"""With ``--log-prompts redacted`` the log holds what people write, made fit for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.call import Call, CallOutcome, Served, Transcript
from lstmserve_server.telemetry import call_log
from lstmserve_server.telemetry.background_file import BackgroundFile
from lstmserve_server.telemetry.logging import ProcessLog
from support.served import serve
from support.wire_requests import conversation, make_request

PROMPT = "where is my parcel?\nmail jo@example.org\x1b[2J or 4111 1111 1111 1111"


@pytest.fixture(scope="module")
def lines(tiny_store: Path) -> dict[str, dict[str, Any]]:
    """The log's lines by request id, and the reply under the key that no line has."""
    with serve(tiny_store, "--log-prompts", "redacted", "--cache-threshold", "1") as served:
        talk = pb.GenerateRequest(conversation=conversation("hello", "hi", PROMPT))
        replies = {}
        for request_id, request, unary in (
            ("streamed", make_request(PROMPT, seed=1), False),
            ("unary", make_request(PROMPT, seed=1), True),
            ("talk", talk, False),
        ):
            metadata = (("x-request-id", request_id),)
            replies[request_id] = served.ask(request, unary=unary, metadata=metadata).text
        assert served.process.stop() == 0
        found = served.process.read_entries()
    return {
        line["request_id"]: line | {"expected": replies[line["request_id"]]}
        for line in found
        if line["event"] == "rpc"
    }


@pytest.mark.parametrize("request_id", ["streamed", "unary", "talk"])
def test_a_line_holds_the_last_turn_and_the_reply(
    lines: dict[str, dict[str, Any]], request_id: str
) -> None:
    line = lines[request_id]
    assert line["prompt"] == "where is my parcel? mail [email] [2J or [card]"
    assert line["reply"] == "".join(c if c.isprintable() else " " for c in line["expected"])


def test_a_text_is_redacted_only_for_a_line_that_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def redact(text: str) -> str:
        seen.append(text)
        return text

    monkeypatch.setattr(call_log, "redact", redact)
    process_log = ProcessLog("WARNING", BackgroundFile(io.StringIO()))
    call, served = Call("Generate", "id"), Served(transcript=Transcript("a prompt", "a reply"))
    calls = call_log.CallLog(process_log)
    calls.on_call_end(call, CallOutcome("OK", 1.0, served=served))
    assert not seen
    process_log.set_level("INFO")
    calls.on_call_end(call, CallOutcome("OK", 1.0, served=served))
    process_log.close()  # by when it is written
    assert seen == ["a prompt", "a reply"]

"""Asks by tritonclient, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.testbed.process import run_program
from lstmserve.v1 import generation_service_pb2 as pb

PROGRAM = Path(__file__).with_name("triton_calls.py")
Question = dict[str, Any]
Answer = dict[str, Any]


def call(target: str, verb: str, questions: Sequence[Question], **options: object) -> list[Answer]:
    """What comes of the questions; ``options`` are those of the client's own method."""
    found = run_program(
        [sys.executable, "-W", "error", PROGRAM, target, verb],
        input=json.dumps({"questions": questions, "options": options}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    answers: list[Answer] = json.loads(found.stdout)
    return answers


def question(text: str = "hello", *, stream: bool = False, **more: Any) -> Question:  # noqa: ANN401
    """A text with parameters of the request."""
    inputs = {"text_input": ("BYTES", [text]), **more.pop("inputs", {})}
    if stream:
        inputs["stream"] = ("BOOL", [True])
    return {"inputs": inputs, **more}


def to_question(request: pb.GenerateRequest, *, stream: bool, request_id: str = "") -> Question:
    """The same request in the protocol's words, its parameters in the JSON object."""
    sampling, stopping = request.sampling, request.stopping
    values = {field.name: value for field, value in sampling.ListFields()}
    values |= {name: getattr(sampling, name) for name in PRESENT if sampling.HasField(name)}
    values["logit_bias"] = dict(sampling.logit_bias)
    values["stop"] = list(stopping.stop_sequences)
    values |= {
        n: getattr(stopping, n) for n in ("max_tokens", "min_tokens") if stopping.HasField(n)
    }
    values["cache_mode"] = MODES[request.cache_mode]
    inputs = {"sampling_parameters": ("BYTES", [json.dumps(values)])}
    return question(
        request.prompt,
        stream=stream,
        inputs=inputs,
        outputs=["text_output", "token_ids"],
        request_id=request_id,
    )


PRESENT = [field.name for field in pb.SamplingParams.DESCRIPTOR.fields if field.has_presence]
MODES = {
    number: name.removeprefix("CACHE_MODE_").lower().replace("unspecified", "default")
    for name, number in pb.CacheMode.items()
}

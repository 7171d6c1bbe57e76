"""No text takes longer than its length explains: of every step that a server does over text."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Answers, IncrementalDetokenizer, Turn, open_bundle
from lstmserve_client.cache.prompts import read_lines
from lstmserve_server.auth.callers_file import parse_callers
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.errors import LstmserveError
from lstmserve_server.page.caller import parse_request
from lstmserve_server.replies.customer_facts import find_fact
from lstmserve_server.replies.fill_in import FillIn, Values
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.metadata import (
    choose_request_id,
    find_trace_id,
    parse_bearer,
    read_caller,
)
from lstmserve_server.rpc.open_inference.request import read_request
from lstmserve_server.rpc.request import check_request
from lstmserve_server.rpc.status import to_status
from lstmserve_server.rpc.wire import make_reader
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.shares import choose_version, parse_traffic
from lstmserve_server.telemetry.redaction import redact
from support.growth import HOSTILE, MOST, measure_growth

BUNDLE = open_bundle(Path(__file__).parents[2] / "model_store" / "support-en" / "2")
MODEL = ServedModel(BUNDLE, cast("EngineClient", None))  # no engine is asked
# an allowed number of tokens, so that their number does not end a reply before its text does
MANY = 1 << 20
# of steps that go by the token, what stop sequences begin with: each takes a while
PIECES = dict.fromkeys(("stop sequences", "detokenizer"), ("a", ". ", "@", "我"))
STOPS = ["a" * 63 + "b", ". . . .", "aaaa", "@ {{ ]?"]
Step = Callable[[str], object]


def stop(text: str) -> None:
    """Look for the ends of stop sequences, as a reply grows by characters."""
    reply = ReplyText(BUNDLE.tokenizer, BUNDLE.template.end_id, MANY, STOPS)
    for token_id in TOKENS[text]:
        reply.push(token_id)


def detokenize(text: str) -> None:
    detokenizer = IncrementalDetokenizer(BUNDLE.tokenizer)
    for token_id in TOKENS[text]:
        detokenizer.push([token_id])


class _Tokens(dict[str, list[int]]):
    """Of texts; made outside of what is measured."""

    def __missing__(self, text: str) -> list[int]:
        return self.setdefault(text, BUNDLE.tokenizer.encode(text))


TOKENS = _Tokens()


def render(text: str) -> None:
    """A conversation of short turns."""
    turns = [Turn("user", text[begin : begin + 100]) for begin in range(0, len(text), 100)]
    BUNDLE.template.render_conversation(turns)


def to_conversation(text: str) -> list[Turn]:
    """One of an agent and a user who say the same."""
    return [Turn("agent", text), Turn("user", text)]


def check(text: str) -> None:
    check_request(pb.GenerateRequest(prompt=text), MODEL)


def fill_in(text: str) -> None:
    """A reply that comes in pieces, with gaps and forbidden phrases looked for."""
    answers = Answers(forbidden=["I have cancelled"])
    filling = FillIn(Values(answers), is_vetted=False)
    for begin in range(0, len(text), 100):
        filling.push(text[begin : begin + 100])
    filling.push("", is_last=True)


def infer(text: str) -> None:
    """Everywhere that a caller may write text."""
    data = text.encode()
    tensor = {"name": "sampling_parameters", "datatype": "BYTES", "shape": [1]}
    request = wire.ModelInferRequest(
        inputs=[
            {**tensor, "contents": {"bytes_contents": [data]}},
            {**tensor, "name": text, "contents": {"bytes_contents": [data]}},
            {"name": "stop", "datatype": "BYTES", "shape": [1]},
        ],
        outputs=[{"name": text}],
        parameters={text: {"string_param": text}, "temperature": {"string_param": text}},
    )
    read_request(request, is_stream=True)


def set_json(text: str) -> None:
    """A JSON object in which the text is a name, a value, and in a list."""
    encoded = json.dumps({text[: len(text) // 2]: 1, "stop": [text[len(text) // 2 :]]})
    data = encoded.encode()
    tensor = {"name": "sampling_parameters", "datatype": "BYTES", "shape": [1]}
    read_request(
        wire.ModelInferRequest(inputs=[{**tensor, "contents": {"bytes_contents": [data]}}]),
        is_stream=True,
    )


def read_metadata(text: str) -> None:
    metadata = [
        ("x-request-id", text),
        ("traceparent", f"00-{text}"),
        ("x-caller-id", text),
    ]
    choose_request_id(metadata)
    find_trace_id({"traceparent": [f"00-{text}"]})
    parse_bearer(f"Bearer {text}")
    parse_bearer("Bearer" + " " * len(text))
    read_caller(metadata)


STEPS: dict[str, Step] = {
    "stop sequences": stop,
    "detokenizer": detokenize,
    "template": render,
    "validation": check,
    "order numbers": lambda text: find_fact("order_number", to_conversation(text)),
    "e-mail addresses": lambda text: find_fact("email", to_conversation(text)),
    "filling in": fill_in,
    "Open Inference": infer,
    "Open Inference, JSON": set_json,
    "redaction": redact,
    "the page's requests": lambda text: parse_request(json.dumps({"prompt": text}).encode()),
    "the page's requests, as they come": lambda text: parse_request(text.encode()),
    "requests that are not UTF-8": lambda text: make_reader(pb.GenerateRequest)(
        pb.GenerateRequest(prompt=text).SerializeToString() + b"\x0a\x01\xff"
    ),
    "metadata": read_metadata,
    "sticky callers": lambda text: choose_version(
        "m", {1: 1, 2: 1}, sticky_key(pb.GenerateRequest(prompt=text), "")
    ),
    "statuses": lambda text: to_status(LstmserveError(text), "id"),
    "callers file": lambda text: parse_callers(
        f"[[principals]]\nname = {json.dumps(text)}".encode(), Path("callers.toml")
    ),
    "traffic": parse_traffic,
    "prompts to warm a cache": lambda text: read_lines(text, {}),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_takes_time_that_grows_with_the_text(step: str) -> None:
    def run(text: str) -> None:
        with suppress(LstmserveError, ValueError):  # most texts are refused, which takes time, too
            STEPS[step](text)

    growths = {piece: measure_growth(run, piece) for piece in PIECES.get(step, HOSTILE)}
    assert {piece: growth for piece, growth in growths.items() if growth > MOST} == {}


@pytest.mark.parametrize("step", ["redaction"])
def test_a_log_line_costs_the_same_however_long_the_text_is(step: str) -> None:
    growths = {piece: measure_growth(STEPS[step], piece) for piece in HOSTILE}
    assert max(growths.values()) < 3  # 1, but for noise

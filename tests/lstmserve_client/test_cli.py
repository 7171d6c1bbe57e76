"""The ``lstmserve`` command as its users see it: output, errors and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from grpc_health.v1 import health_pb2

from lstmserve.v1 import generation_service_pb2 as pb
from support import fake_answers

if TYPE_CHECKING:
    from conftest import Lstmserve
    from support.fake_server import FakeServer


def unnamed(output: str) -> str:
    """The output with an ID where a request's own name stands."""
    return re.sub(r"[0-9a-f]{32}", "ID", output)


def unframed(output: str) -> str:
    """The words of a message in a frame."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", output).split())


def test_generate_prints_the_reply_and_nothing_else(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello [bold]you\n", "")


def test_generate_sends_what_its_options_say(lstmserve: Lstmserve, fake: FakeServer) -> None:
    lstmserve(
        *("generate", "hi", "--model", "support-en", "--model-version", "3"),
        *("--temperature", "-0.5", "--top-k", "0", "--top-p", "0.5", "--min-p", "0.25"),
        *("--repetition-penalty", "1.5", "--frequency-penalty", "-1"),
        *("--presence-penalty", "2", "--seed", str(2**64 - 1), "--logprobs", "2"),
        *("--max-tokens", "9", "--min-tokens", "1", "--stop", "a", "--stop", "b c"),
        *("--cache", "refresh", "--cache-tag", "shop", "--cache-tag", "spring"),
        *("--min-confidence", "0.25"),
        *("--variable", "name=Jo", "--variable", "note=a=b"),
    )
    assert fake.requests == [
        pb.GenerateRequest(
            model="support-en",
            model_version="3",
            prompt="hi",
            sampling=pb.SamplingParams(
                temperature=-0.5,
                top_k=0,
                top_p=0.5,
                min_p=0.25,
                repetition_penalty=1.5,
                frequency_penalty=-1.0,
                presence_penalty=2.0,
                seed=2**64 - 1,
                logprobs=2,
            ),
            stopping=pb.StoppingCriteria(max_tokens=9, min_tokens=1, stop_sequences=["a", "b c"]),
            cache_mode=pb.CACHE_MODE_REFRESH,
            cache_tags=["shop", "spring"],
            priority=pb.PRIORITY_NORMAL,
            min_confidence=0.25,
            variables={"name": "Jo", "note": "a=b"},
        )
    ]


def test_the_best_of_several_replies_are_printed_likeliest_first(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    other = pb.GenerateReplyResponse.FromString(fake.reply.SerializeToString())
    other.text = "Hi"
    other.ClearField("logprobs")
    fake.reply.mean_logprob, other.mean_logprob = -0.25, -0.5
    fake.reply.alternatives.append(other)
    result = lstmserve("generate", "hi", "--best-of", "4", "--num-replies", "2", "--show-stats")
    assert (result.exit_code, result.stdout) == (0, "Hello [bold]you\nHi\n")
    assert "mean_logprob=-0.250" in result.stderr.splitlines()[0]
    assert "mean_logprob=-0.500" in result.stderr.splitlines()[1]
    assert fake.requests == [
        pb.GenerateReplyRequest(
            prompt="hi",
            sampling=pb.SamplingParams(),
            stopping=pb.StoppingCriteria(),
            priority=pb.PRIORITY_NORMAL,
            best_of=4,
            num_replies=2,
        )
    ]
    lines = lstmserve("generate", "hi", "--num-replies", "2", "--json").stdout.splitlines()
    assert [(json.loads(line)["type"], json.loads(line)["text"]) for line in lines] == [
        ("reply", "Hello [bold]you"),
        ("reply", "Hi"),
    ]


@pytest.mark.parametrize(
    ("options", "constraint"),
    [
        (("--regex", "[0-9]+"), pb.Constraint(regex="[0-9]+")),
        (
            ("--choice", "yes", "--choice", "no"),
            pb.Constraint(choices=pb.Choices(choices=["yes", "no"])),
        ),
        (("--form", "date"), pb.Constraint(form="date")),
    ],
)
def test_a_constraint_is_asked_for(
    lstmserve: Lstmserve, fake: FakeServer, options: tuple[str, ...], constraint: pb.Constraint
) -> None:
    assert lstmserve("generate", "hi", *options).exit_code == 0
    assert fake.requests[0].constraint == constraint


def test_a_constraint_may_stand_in_a_file(
    lstmserve: Lstmserve, fake: FakeServer, tmp_path: Path
) -> None:
    schema, grammar = tmp_path / "a.json", tmp_path / "b.lark"
    schema.write_text('{"type": "integer"}', encoding="utf-8-sig")
    grammar.write_text('start: "ü"', encoding="utf-8")
    lstmserve("generate", "hi", "--json-schema", str(schema))
    lstmserve("generate", "hi", "--grammar", str(grammar), "--prompt-characters", "2")
    assert [request.constraint for request in fake.requests] == [
        pb.Constraint(json_schema='{"type": "integer"}'),
        pb.Constraint(grammar='start: "ü"', prompt_characters=2),
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--grammar", "none.lark"), "--grammar: none.lark: No such file"),
        (("--prompt-characters", "2"), "goes with a constraint"),
    ],
)
def test_a_constraint_that_cannot_be_read_is_told(
    lstmserve: Lstmserve, options: tuple[str, ...], reason: str
) -> None:
    result = lstmserve("generate", "hi", *options)
    assert result.exit_code == 2
    assert reason in unframed(result.stderr)


def test_two_constraints_are_refused(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--regex", "a", "--form", "b")
    assert result.exit_code == 2
    assert "exclude each other" in unframed(result.stderr)


def test_a_variable_without_a_value_is_refused(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--variable", "name")
    assert result.exit_code == 2
    assert "must be NAME=VALUE" in unframed(result.stderr)


def test_classify_prints_labels_with_their_probabilities(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    result = lstmserve("classify", "hi", "--model", "support-en", "--model-version", "3")
    assert result.stdout == "0.750  intent:greet\n0.250  [bold]other\n"
    assert (result.exit_code, result.stderr) == (0, "in scope: 0.875\n")
    inputs = [pb.ClassifyInput(prompt="hi")]
    wanted = pb.ClassifyRequest(model="support-en", model_version="3", inputs=inputs)
    assert fake.classified == [wanted]


def test_classify_tells_what_is_wrong_with_some_and_goes_on(lstmserve: Lstmserve) -> None:
    result = lstmserve("classify", "--json", "hi", " ", "bye")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["type"] for each in found] == [
        *("classification", "field_violation", "classification")
    ]
    assert found[0]["label"] == {"name": "intent:greet", "probability": 0.75}
    assert found[1]["field"] == "inputs[1].prompt"
    assert result.exit_code == 1
    assert "inputs[0].prompt: is empty" in lstmserve("classify", " ").stderr


def test_stats_tell_the_label_of_versions_that_have_a_classifier(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events.insert(1, pb.GenerateResponse(classification=fake_answers.classification()))
    fake.events[-1].completion.outcome = pb.REPLY_OUTCOME_UNSURE
    fake.events[0].started.source = pb.REPLY_SOURCE_FALLBACK
    result = lstmserve("generate", "hi", "--show-stats")
    assert "confidence=0.75 outcome=unsure source=fallback" in result.stderr


def test_generate_leaves_to_the_model_what_is_not_asked(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    lstmserve("generate", "hi")
    assert fake.requests[0].sampling == pb.SamplingParams()
    assert fake.requests[0].stopping == pb.StoppingCriteria()


def test_a_dash_reads_the_prompt_from_standard_input(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    lstmserve("generate", "-", stdin="two\nlines\n")
    assert fake.requests[0].prompt == "two\nlines"


def test_standard_input_that_is_no_text_is_refused(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "-", stdin=b"\xff\xfe")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: the input is not UTF-8 text\n"


def test_show_stats_tells_the_rest_on_standard_error(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--show-stats")
    assert result.stdout == "Hello [bold]you\n"
    assert result.stderr == (
        f"model=support-en/3 seed={2**64 - 1} finish=end_of_text prompt_tokens=4 "
        "cached_prompt_tokens=1 generated_tokens=3 cache=miss saved=250.0ms labels=intent:greet "
        "first_token=1.5ms total=7.5ms request=req-1\n"
    )


def test_show_stats_leaves_out_what_the_cache_did_not_do(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events[-1].completion.usage.cached_prompt_tokens = 0
    fake.events[-1].completion.timings.saved_seconds = 0
    fake.events[-1].completion.cache = pb.CACHE_OUTCOME_BYPASS
    stats = lstmserve("generate", "hi", "--show-stats").stderr
    assert " cache=bypass " in stats
    assert "cached_prompt_tokens" not in stats
    assert "saved" not in stats


@pytest.mark.parametrize("verb", [["generate", "hi"], ["chat"]], ids=["generate", "chat"])
def test_a_reply_that_is_not_cached_is_one_clear_line(
    lstmserve: Lstmserve, fake: FakeServer, verb: list[str]
) -> None:
    fake.events = []
    info = details.ErrorInfo(reason="NOT_CACHED", domain="lstmserve")
    fake.fail(grpc.StatusCode.NOT_FOUND, "send the request without cache_mode", info)
    result = lstmserve(*verb, "--cache", "only_if_cached", stdin="hi\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert unnamed(result.stderr) == (
        "error: the reply is not in the cache; call without --cache to generate it (request ID)\n"
    )
    assert fake.requests[0].cache_mode == pb.CACHE_MODE_ONLY_IF_CACHED


def test_logprobs_are_a_table_beside_the_text(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--logprobs", "2")
    assert result.stdout == "Hello [bold]you\n"
    first, second, third = [line for line in result.stderr.splitlines() if " -" in line]
    assert "'Hel'" in first
    assert "-0.250" in first
    assert "'[bold]no' -2.000" in first
    assert "-0.500" in second
    assert "-1.000" in third


def test_json_is_one_event_per_line(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--json", "--logprobs", "2")
    started, first, last, completion = map(json.loads, result.stdout.splitlines())
    assert (started["type"], started["seed"]) == ("started", 2**64 - 1)
    assert (first["type"], first["text"], first["token_ids"]) == ("chunk", "Hel", [7])
    assert first["logprobs"][0]["top"][1]["text"] == "[bold]no"
    assert last["text"] == "lo [bold]you"
    assert (completion["type"], completion["finish_reason"]) == ("completion", "end_of_text")
    assert completion["usage"]["generated_tokens"] == 3
    assert result.stderr == ""


def test_wrong_fields_are_told_on_one_line(lstmserve: Lstmserve, fake: FakeServer) -> None:
    wrong = details.BadRequest()
    wrong.field_violations.add(field="sampling.min_p", description="is not\nserved yet")
    wrong.field_violations.add(field="prompt", description="must not be empty")
    fake.events = []
    fake.fail(grpc.StatusCode.INVALID_ARGUMENT, "2 wrong fields", wrong)
    result = lstmserve("generate", "", "--min-p", "0.1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: invalid request: sampling.min_p: is not served yet; prompt: must not be empty\n"
    )


def test_an_overloaded_server_says_when_to_come_back(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events = []
    delay = details.RetryInfo(retry_delay=Duration(nanos=250_000_000))
    request = details.RequestInfo(request_id="req-9")
    fake.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", delay, request)
    result = lstmserve("generate", "hi")
    assert result.exit_code == 1
    assert result.stderr == "error: the queue is full; try again in 0.25 s (request req-9)\n"


def test_a_failure_after_some_text_gets_its_own_line(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events = fake.events[:2]
    fake.fail(grpc.StatusCode.INTERNAL, "internal error")
    result = lstmserve("generate", "hi")
    assert (result.exit_code, result.stdout) == (1, "Hel\n")
    assert unnamed(result.stderr) == "error: internal error (request ID)\n"


def test_a_connection_that_breaks_after_some_text_is_told_as_that(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events = fake.events[:2]
    fake.lose()
    result = lstmserve("generate", "hi")
    assert (result.exit_code, result.stdout) == (1, "Hel\n")
    assert result.stderr.startswith(f"error: the connection to {fake.target} broke (")
    assert "make serve" not in result.stderr


def test_a_draining_server_speaks_for_itself(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.events = []
    fake.fail(grpc.StatusCode.UNAVAILABLE, "draining", details.ErrorInfo(reason="DRAINING"))
    result = lstmserve("generate", "hi")
    assert unnamed(result.stderr) == "error: draining (request ID)\n"


@pytest.mark.parametrize(
    "verb", [["generate", "hi"], ["chat"], ["models"], ["health"]], ids=lambda verb: verb[0]
)
def test_without_a_server_every_verb_says_how_to_start_one(
    lstmserve: Lstmserve, dead_target: str, verb: list[str]
) -> None:
    result = lstmserve(*verb, "--target", dead_target, stdin="hi\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: no server answers at {dead_target} (")
    assert (
        "; start one with `make serve` or lstmserve-server, or check target and tls"
        in result.stderr
    )
    assert result.stderr.count("\n") == 1


def test_the_timeout_is_the_deadline(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.hangs = True
    fake.events = []
    result = lstmserve("generate", "hi", "--timeout", "0.2")
    assert result.exit_code == 1
    assert unnamed(result.stderr) == "error: no reply within 0.2 s (timeout) (request ID)\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--top-k", "-1"),
        ("--seed", "-1"),
        ("--max-tokens", "-5"),
        ("--min-tokens", "-5"),
        ("--logprobs", "-1"),
        ("--seed", "many"),
        ("--timeout", "0"),
        ("--timeout", "inf"),
        ("--target", " "),
        ("--cache", "sometimes"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_error_naming_the_option(
    lstmserve: Lstmserve, fake: FakeServer, option: str, value: str
) -> None:
    result = lstmserve("generate", "hi", option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert option in result.stderr
    assert fake.requests == []


def test_a_number_too_large_for_the_wire_names_its_field(lstmserve: Lstmserve) -> None:
    result = lstmserve("generate", "hi", "--seed", str(2**64))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: invalid request: sampling.seed: ")


def test_chat_keeps_the_conversation_until_reset(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("chat", "--seed", "5", stdin="one\n\ntwo\n/reset\nthree\n/quit\nfour\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Hello [bold]you\n" * 3
    said = [[turn.text for turn in each.conversation.turns] for each in fake.requests]
    assert said == [["one"], ["one", "Hello [bold]you", "two"], ["three"]]
    assert [each.sampling.seed for each in fake.requests] == [5, 5, 5]


def test_chat_remembers_no_empty_turn(lstmserve: Lstmserve, fake: FakeServer) -> None:
    del fake.events[1:-1]
    lstmserve("chat", stdin="one\ntwo\n")
    said = [[turn.text for turn in each.conversation.turns] for each in fake.requests]
    assert said == [["one"], ["two"]]


def test_chat_with_a_script_stops_at_the_first_error(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.events = []
    fake.fail(grpc.StatusCode.INTERNAL, "internal error")
    result = lstmserve("chat", stdin="one\ntwo\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert unnamed(result.stderr) == "error: internal error (request ID)\n"
    assert len(fake.requests) == 1


def test_models_are_a_table_that_fits_a_narrow_terminal(
    lstmserve: Lstmserve, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    fake.model.state = 5  # failed
    fake.model.state_reason = "model.pt: its [red]checksum differs" + 5 * " from what is written"
    result = lstmserve("models")
    _, row, reason = result.stdout.splitlines()
    assert row.split("  ")[0] == "support-en"
    for cell in ("3", "failed", "yes", "6,000,000", "7.5 MB", "ab" * 6):
        assert f" {cell} " in f"{row} "
    assert reason == f"support-en version 3 is failed: {fake.model.state_reason}"
    assert result.exit_code == 0


def test_models_as_json(lstmserve: Lstmserve) -> None:
    [card] = map(json.loads, lstmserve("models", "--json").stdout.splitlines())
    assert (card["type"], card["name"], card["state"]) == ("model", "support-en", "ready")
    assert card["default_sampling"]["logit_bias"] == {"3": -1.0}


def test_health_succeeds_only_when_serving(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("health")
    assert (result.exit_code, result.stdout) == (0, "SERVING\n")
    fake.health.statuses[""] = health_pb2.HealthCheckResponse.NOT_SERVING
    result = lstmserve("health")
    assert (result.exit_code, result.stdout) == (1, "NOT_SERVING\n")
    result = lstmserve("health", "--service", "nobody.knows")
    assert (result.exit_code, result.stdout) == (1, "SERVICE_UNKNOWN\n")


def test_version(lstmserve: Lstmserve) -> None:
    result = lstmserve("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("lstmserve ")

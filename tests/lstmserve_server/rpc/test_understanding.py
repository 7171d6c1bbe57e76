"""What requests are about, the version's own words, and their gaps, through a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import find_detail, text_of
from support.resumption import check_every_cut, receive, resume
from support.served import Served, serve
from support.understanding import (
    HELLO,
    LABELS,
    PRAISE,
    QUESTION,
    SPELLINGS,
    TRACK,
    make_understanding_store,
)
from support.wire_requests import conversation

GREEDY = pb.SamplingParams(temperature=0)


@pytest.fixture(scope="module")
def served(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = make_understanding_store(tiny_store / "tiny" / "1", tmp_path_factory.mktemp("store"))
    with serve(store, "--cache-threshold", "1") as running:
        yield running


@pytest.fixture(scope="module")
def plain(tiny_store: Path) -> Iterator[Served]:
    """The same version without classifier and answers."""
    with serve(tiny_store) as running:
        yield running


def reply(served: Served, prompt: str = "refund", **fields: object) -> pb.GenerateReplyResponse:
    return served.generation.GenerateReply(pb.GenerateReplyRequest(prompt=prompt, **fields))


def refused(served: Served, **fields: object) -> dict[str, str]:
    """The fields that are refused, with why."""
    with pytest.raises(grpc.RpcError) as error:
        reply(served, **fields)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    violations = find_detail(error.value, BadRequest).field_violations
    return {each.field: each.description for each in violations}


# --- what it is about -----------------------------------------------------------------------


def test_a_stream_tells_what_it_is_about_before_its_first_chunk(served: Served) -> None:
    events = list(served.generation.Generate(pb.GenerateRequest(prompt="cancel 482133")))
    kinds = [event.WhichOneof("event") for event in events]
    chunks = ["chunk"] * (len(events) - 3)
    assert kinds == ["started", "classification", *chunks, "completion"]
    found = events[1].classification
    assert found.label.name == TRACK
    assert {found.label.name, *(each.name for each in found.alternatives)} == set(LABELS)
    assert found.label.probability > max(each.probability for each in found.alternatives)
    assert 0 <= found.in_scope_probability <= 1
    assert list(events[-1].completion.labels) == [TRACK]
    assert events[0].started.source == pb.REPLY_SOURCE_MODEL
    assert events[-1].completion.outcome == pb.REPLY_OUTCOME_ANSWERED


def test_the_label_is_the_same_at_any_temperature_and_in_classify(served: Served) -> None:
    wanted = [pb.ClassifyInput(prompt="cancel it")]
    (alone,) = served.generation.Classify(pb.ClassifyRequest(inputs=wanted)).results
    for seed in range(5):
        sampling = pb.SamplingParams(temperature=2, seed=seed)
        found = reply(served, "cancel it", sampling=sampling)
        assert found.classification == alone.classification
        assert list(found.completion.labels) == [TRACK]


def test_the_model_replies_to_the_label_that_is_told(served: Served, plain: Served) -> None:
    found = reply(served, "cancel", sampling=GREEDY)
    by_itself = reply(plain, "cancel", sampling=GREEDY)
    assert list(by_itself.completion.labels) != [TRACK]  # what the model would have said
    assert found.started.prompt_tokens == by_itself.started.prompt_tokens + 1


def test_many_inputs_at_once_and_what_is_wrong_with_some(served: Served) -> None:
    inputs = [
        pb.ClassifyInput(prompt="cancel"),
        pb.ClassifyInput(prompt=" "),
        pb.ClassifyInput(conversation=conversation("refund", "Your number?", "it is 4821")),
        pb.ClassifyInput(),
        pb.ClassifyInput(conversation=conversation("refund", "Your number?")),
    ]
    response = served.generation.Classify(pb.ClassifyRequest(inputs=inputs))
    found = [each.WhichOneof("result") for each in response.results]
    assert found == ["classification", "error", "classification", "error", "error"]
    assert response.results[0].classification.label.name == TRACK
    assert response.results[2].classification.label.name == HELLO
    assert [each.error.field for each in response.results if each.HasField("error")] == [
        "inputs[1].prompt",
        "inputs[3]",
        "inputs[4].conversation.turns[1].role",
    ]
    assert (response.model, response.model_version) == ("tiny", "1")
    assert len(response.model_digest) == 64
    assert response.request_id


def test_a_conversation_is_classified_as_before_its_reply(served: Served) -> None:
    said = conversation("refund", "Your number?", "it is 4821")
    found = served.generation.GenerateReply(pb.GenerateReplyRequest(conversation=said))
    inputs = [pb.ClassifyInput(conversation=said)]
    (alone,) = served.generation.Classify(pb.ClassifyRequest(inputs=inputs)).results
    assert found.classification == alone.classification


@pytest.mark.parametrize("count", [0, 257])
def test_the_number_of_inputs_is_bounded(served: Served, count: int) -> None:
    inputs = [pb.ClassifyInput(prompt="cancel")] * count
    with pytest.raises(grpc.RpcError) as error:
        served.generation.Classify(pb.ClassifyRequest(inputs=inputs))
    (violation,) = find_detail(error.value, BadRequest).field_violations
    assert violation.field == "inputs"
    assert f"from 1 to 256, not {count}" in violation.description


def test_a_version_without_a_classifier_says_so(plain: Served) -> None:
    with pytest.raises(grpc.RpcError, match="tiny version 1 has no classifier") as error:
        plain.generation.Classify(pb.ClassifyRequest(inputs=[pb.ClassifyInput(prompt="hi")]))
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    events = list(plain.generation.Generate(pb.GenerateRequest(prompt="hi")))
    assert not any(event.HasField("classification") for event in events)
    assert not reply(plain, "hi").HasField("classification")


# --- own words --------------------------------------------------------------------------------


def test_own_words_are_chosen_by_the_seed_and_streamed_as_they_are_told_at_once(
    served: Served,
) -> None:
    texts = set()
    for seed in range(12):
        sampling = pb.SamplingParams(seed=seed)
        found = reply(served, sampling=sampling)
        request = pb.GenerateRequest(prompt="refund", sampling=sampling)
        events = list(served.generation.Generate(request))
        assert text_of(events) == found.text == reply(served, sampling=sampling).text
        assert [i for event in events for i in event.chunk.token_ids] == list(found.token_ids)
        assert found.started.source == events[0].started.source == pb.REPLY_SOURCE_ANSWERS
        assert found.completion.finish_reason == pb.FINISH_REASON_END_OF_TEXT
        assert found.completion.usage.generated_tokens == len(found.token_ids)
        assert len(events) > 5
        texts.add(found.text)
    # what nobody has told takes its sentence away
    assert texts == {"Anything else?", "Welcome back. Call 0800 100 for more."}


def test_greedy_takes_the_first_and_no_seed_is_told_for_repeating(served: Served) -> None:
    assert reply(served, sampling=GREEDY).text == "Anything else?"
    seeds = {reply(served).started.seed for _ in range(3)}
    assert len(seeds) == 3
    again = pb.SamplingParams(seed=(seed := seeds.pop()))
    assert reply(served, sampling=again).started.seed == seed


def test_own_words_end_where_the_request_says(served: Served) -> None:
    stopping = pb.StoppingCriteria(stop_sequences=["else"])
    found = reply(served, sampling=GREEDY, stopping=stopping)
    assert found.text == "Anything "
    assert found.completion.finish_reason == pb.FINISH_REASON_STOP_SEQUENCE
    cut = reply(served, sampling=GREEDY, stopping=pb.StoppingCriteria(max_tokens=3))
    assert cut.completion.finish_reason == pb.FINISH_REASON_MAX_TOKENS
    assert len(cut.token_ids) == 3


def test_a_person_takes_over_where_the_answers_say_so(served: Served) -> None:
    found = reply(served, "hm")
    assert found.classification.label.name == PRAISE
    assert found.text == "A person will call you."
    assert found.completion.outcome == pb.REPLY_OUTCOME_HANDOVER


def test_who_is_not_sure_asks_back(served: Served) -> None:
    found = reply(served, "cancel 482133", min_confidence=1.0)
    text = "I did not get that. Is it about your parcel or saying hello?"
    assert found.text == f"{text} Your order is 482133."
    assert reply(served, "cancel", min_confidence=1.0).text == text
    assert found.completion.outcome == pb.REPLY_OUTCOME_UNSURE
    assert found.started.source == pb.REPLY_SOURCE_FALLBACK
    assert list(found.completion.labels) == [TRACK]
    sure = reply(served, "cancel 482133", min_confidence=0.0)
    assert sure.completion.outcome == pb.REPLY_OUTCOME_ANSWERED


@pytest.mark.parametrize("prompt", ["refund", "hm", "cancel"])
def test_what_comes_goes_on_after_every_token(served: Served, prompt: str) -> None:
    request = pb.GenerateRequest(
        prompt=f"{prompt} order 482133",
        sampling=pb.SamplingParams(seed=3),
        variables={"name": "Jo"},
    )
    check_every_cut(served.generation, served.generation, request)
    unsure = pb.GenerateRequest(prompt="cancel", min_confidence=1.0, sampling=GREEDY)
    check_every_cut(served.generation, served.generation, unsure)


def test_tokens_of_another_reply_are_no_beginning(served: Served) -> None:
    request = pb.GenerateRequest(prompt="refund", sampling=GREEDY)
    whole = receive(served.generation.Generate(request))
    for tokens in ([whole.token_ids[0] + 1], whole.token_ids):
        rest = receive(served.generation.Generate(resume(request, tokens, 0)))
        assert rest.error is not None
        assert rest.error.code() is grpc.StatusCode.FAILED_PRECONDITION


# --- what fills gaps --------------------------------------------------------------------------


def test_what_was_typed_in_any_turn_fills_the_gaps(served: Served) -> None:
    said = conversation(
        "refund, my order is 48213", "Who are you?", "jo@x.org", "And?", "refund please"
    )
    for seed, text in enumerate(
        (
            "Good to see you, Jo! Your order 48213 is being packed. Anything else?",
            "Welcome back. We write to jo@x.org once it leaves. Call 112 for more.",
        )
    ):
        texts = {
            served.generation.GenerateReply(
                pb.GenerateReplyRequest(
                    conversation=said,
                    sampling=pb.SamplingParams(seed=seed),
                    variables={"name": "Jo", "phone": "112"},
                )
            ).text
            for seed in range(12)
        }
        assert text in texts


def test_what_the_model_writes_is_filled_in_and_kept_from_promises(served: Served) -> None:
    numbers = ("482131", "482132")
    found = [reply(served, f"cancel {n}", sampling=GREEDY) for n in numbers]
    assert {each.started.source for each in found} == {pb.REPLY_SOURCE_MODEL}
    assert found[0].token_ids == found[1].token_ids
    assert found[0].text.replace(*numbers) == found[1].text
    texts = {
        reply(served, "cancel 482133", sampling=pb.SamplingParams(seed=seed, temperature=0.8)).text
        for seed in range(24)
    }
    # hardly a reply has no gap; which have one depends on the CPU that trained the weights
    assert any("482133" in text for text in texts)
    assert not any(word in text for text in texts for word in (*SPELLINGS, "two days"))


def test_what_was_said_before_ends_a_reply_that_does_not_use_it(served: Served) -> None:
    said = conversation("it is 48213", "Hm?", "jo@x.org", "Hm?", "hm")
    request = pb.GenerateRequest(conversation=said, sampling=GREEDY)
    whole = receive(served.generation.Generate(request))
    text = "A person will call you. Your order is 48213. You gave us the address jo@x.org."
    assert whole.text == text
    unary = pb.GenerateReplyRequest(conversation=said, sampling=GREEDY)
    assert served.generation.GenerateReply(unary).text == text
    check_every_cut(served.generation, served.generation, request)
    cut = pb.StoppingCriteria(max_tokens=len(whole.token_ids) - 1)  # the end token is not reached
    unary = pb.GenerateReplyRequest(conversation=said, sampling=GREEDY, stopping=cut)
    found = served.generation.GenerateReply(unary)
    assert found.completion.finish_reason == pb.FINISH_REASON_MAX_TOKENS
    assert found.text == "A person will call you."


def test_what_the_model_writes_ends_with_it_too(served: Served) -> None:
    said = conversation("jo@x.org", "Thank you.", "cancel")
    texts = set()
    for seed in range(24):
        sampling = pb.SamplingParams(seed=seed, temperature=0.8)
        request = pb.GenerateRequest(conversation=said, sampling=sampling)
        found = receive(served.generation.Generate(request))
        texts.add(found.text)
        check_every_cut(served.generation, served.generation, request)
    assert any(text.endswith(" You gave us the address jo@x.org.") for text in texts)


def test_fields_are_refused_by_name(served: Served, plain: Served) -> None:
    assert set(refused(served, min_confidence=1.5)) == {"min_confidence"}
    assert set(refused(served, min_confidence=float("nan"))) == {"min_confidence"}
    many = {f"v{number}": "x" for number in range(33)}
    assert "at most 32, not 33" in refused(served, variables=many)["variables"]
    wrong = {"Order": "1", "empty": "", "long": "x" * 257, "lines": "a\nb", "fine": "x"}
    assert set(refused(served, variables=wrong)) == {
        *("variables[Order]", "variables[empty]", "variables[lines]", "variables[long]"),
    }
    assert "no classifier" in refused(plain, min_confidence=0.5)["min_confidence"]
    assert "no answers.json" in refused(plain, variables={"name": "Jo"})["variables"]


# --- questions of its own -----------------------------------------------------------------------


def test_a_question_of_the_list_goes_before_its_label(served: Served) -> None:
    for text in (QUESTION, QUESTION.upper(), "hi, when is the shop in bremen open?"):
        found = reply(served, text)
        assert found.text == "Nine to six, and 0800 100 at any time."
        assert found.started.question == QUESTION
        assert found.started.source == pb.REPLY_SOURCE_ANSWERS
        assert found.HasField("classification")
    assert reply(served, "refund").started.question == ""


# --- what operators see -----------------------------------------------------------------------


def test_labels_and_outcomes_are_counted(served: Served) -> None:
    before = served.page()
    reply(served, "refund")
    reply(served, "hm")
    reply(served, "cancel", min_confidence=1.0)
    served.generation.Classify(pb.ClassifyRequest(inputs=[pb.ClassifyInput(prompt="cancel")]))
    after = served.page()

    def grown(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    assert grown("classifications_total", label=HELLO) == 1
    assert grown("classifications_total", label=TRACK) == 2
    assert grown("classification_confidence_count") == 4
    assert grown("reply_outcomes_total", outcome="answered") == 1
    assert grown("reply_outcomes_total", outcome="unsure") == 1
    assert grown("reply_outcomes_total", outcome="handover") == 1
    assert grown("generated_tokens_total", source="answers") > 0
    assert grown("generated_tokens_total", source="fallback") > 0

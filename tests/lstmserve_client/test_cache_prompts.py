"""The file that ``lstmserve cache warm`` reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_client import RequestOptions, SamplingParams, StoppingCriteria
from lstmserve_client.cache.prompts import BadLinesError, PromptLine, read_lines

OPTIONS = RequestOptions(
    model="support-en",
    sampling=SamplingParams(temperature=0.5, top_k=3),
    stopping=StoppingCriteria(max_tokens=9),
)

sane_texts = st.text(st.characters(exclude_categories=["Cs"]))
plain_prompts = sane_texts.filter(
    lambda text: text.strip() and "\n" not in text and not text.lstrip().startswith("{")
).map(lambda text: text.rstrip("\r"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | sane_texts,
    lambda inner: st.lists(inner) | st.dictionaries(sane_texts, inner),
)


def problem_of(line: str) -> str:
    with pytest.raises(BadLinesError) as raised:
        read_lines(line, OPTIONS)
    [problem] = raised.value.problems
    return problem


def test_a_line_is_a_prompt_and_blank_lines_are_none() -> None:
    assert read_lines("hi\r\n\n  \n why? \nlast", OPTIONS) == [
        PromptLine(1, "hi", OPTIONS),
        PromptLine(4, " why? ", OPTIONS),
        PromptLine(5, "last", OPTIONS),
    ]


def test_a_line_may_say_more_than_its_prompt() -> None:
    own = {
        "prompt": "two\nlines",
        "model": "tiny",
        "model_version": "2",
        "sampling": {"top_k": None, "seed": 5, "logit_bias": {"3": -1}},
        "stopping": {"stop_sequences": ["a", "b"]},
    }
    [line] = read_lines(json.dumps(own), OPTIONS)
    assert line.prompt == "two\nlines"
    assert line.options == RequestOptions(
        model="tiny",
        model_version="2",
        sampling=SamplingParams(temperature=0.5, seed=5, logit_bias={3: -1.0}),
        stopping=StoppingCriteria(max_tokens=9, stop_sequences=("a", "b")),
    )


def test_all_bad_lines_are_told_at_once() -> None:
    with pytest.raises(BadLinesError) as raised:
        read_lines('hi\n{"promt": "hi"}\n\n{"prompt": 3}\n', OPTIONS)
    first, second = raised.value.problems
    assert first.startswith('line 2: unknown key "promt"; known are prompt, model, ')
    assert second == 'line 4: "prompt" must be text, not 3'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{hello}", "not valid JSON: "),
        ('{"prompt": "hi"', "not valid JSON: "),
        ('{"prompt": "hi"} {}', "not valid JSON: "),
        ('{"prompt": "hi", "sampling": {"temperature": NaN}}', "not valid JSON: "),
        ('{"a":' * 100_000, "not valid JSON: nested too deeply"),
        ("{}", '"prompt" is missing'),
        ('{"prompt": null}', '"prompt" must be text, not null'),
        ('{"prompt": "hi", "seed": 1}', 'unknown key "seed"; '),
        ('{"prompt": "hi", "sampling": []}', '"sampling" must be an object, not []'),
        ('{"prompt": "hi", "sampling": {"sed": 1}}', 'unknown key "sampling.sed"; '),
        ('{"prompt": "hi", "sampling": {"seed": 1.5}}', '"sampling.seed" must be a whole number'),
        ('{"prompt": "hi", "sampling": {"top_k": true}}', '"sampling.top_k" must be a whole '),
        ('{"prompt": "hi", "sampling": {"top_p": "1"}}', '"sampling.top_p" must be a number'),
        (
            '{"prompt": "hi", "sampling": {"top_p": 1' + "0" * 400 + "}}",
            '"sampling.top_p" is too large',
        ),
        (
            '{"prompt": "hi", "sampling": {"logit_bias": {"a": 1}}}',
            '"sampling.logit_bias" must have token ids for keys',
        ),
        (
            '{"prompt": "hi", "stopping": {"stop_sequences": "a"}}',
            '"stopping.stop_sequences" must be a list, not "a"',
        ),
        (
            '{"prompt": "hi", "stopping": {"stop_sequences": ["a", 1]}}',
            '"stopping.stop_sequences[1]" must be text, not 1',
        ),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_key(line: str, why: str) -> None:
    assert problem_of(line).startswith(f"line 1: {why}")


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(problem_of(json.dumps({"prompt": ["x" * 10_000]}))) < 200


@given(st.lists(plain_prompts))
def test_plain_prompts_come_back_as_they_are(prompts: list[str]) -> None:
    read = read_lines("\n".join(prompts), OPTIONS)
    assert [line.prompt for line in read] == prompts


@given(st.lists(sane_texts))
def test_any_text_can_be_written_as_json(prompts: list[str]) -> None:
    lines = [json.dumps({"prompt": prompt}, ensure_ascii=False) for prompt in prompts]
    read = read_lines("\n".join(lines), OPTIONS)
    assert [(line.prompt, line.options.get("model")) for line in read] == [
        (prompt, "support-en") for prompt in prompts
    ]


@given(st.dictionaries(st.sampled_from(["prompt", "sampling", "stopping", "x"]), json_values))
def test_any_object_is_a_request_or_a_named_problem(own: dict[str, object]) -> None:
    try:
        [line] = read_lines(json.dumps(own), OPTIONS)
    except BadLinesError as error:
        prompt, problems = None, error.problems
    else:
        prompt, problems = line.prompt, []
    assert prompt == (None if problems else own["prompt"])
    assert all(problem.startswith("line 1: ") for problem in problems)

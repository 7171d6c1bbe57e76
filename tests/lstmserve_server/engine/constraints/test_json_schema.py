"""Of JSON schemas all is kept: what the library would ignore is refused, or made stricter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.constraints.grammar_texts import of_json_schema, of_lark
from lstmserve_server.engine.constraints.json_schema import prepare_schema
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.parsing import GrammarVocabulary

BYTES = GrammarVocabulary([bytes([byte]) for byte in range(256)] + [b""], 256)
AB = {"patternProperties": {"^[ab]$": {"type": "boolean"}}, "additionalProperties": False}
REFERRING = {"$ref": "#/components/schemas/a"}


def may_be(schema: Mapping[str, Any], text: str) -> bool:
    """Whether a reply may be this text."""
    matcher = BYTES.begin(of_json_schema(json.dumps(schema)), b"")
    return all(matcher.consume_token(byte) for byte in text.encode()) and matcher.is_accepting()


def refusal(schema: Mapping[str, Any]) -> str:
    with pytest.raises(RefusedFormError) as raised:
        of_json_schema(json.dumps(schema))
    return str(raised.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", **AB, "minProperties": 2},
        {"type": "object", **AB, "minProperties": 3, "maxProperties": 3},
        {"type": ["null", "object"], "minProperties": 2},
        {"minProperties": 3, "required": ["a", "a"]},
        {"type": "array", "items": {"type": "object", "minProperties": 2}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "minProperties": 2}}},
    ],
)
def test_a_least_number_of_names_that_may_come_twice_is_refused(schema: dict[str, Any]) -> None:
    assert "minProperties" in refusal(schema)


def test_a_number_of_names_that_holds_anyway_is_served() -> None:
    one = {"type": "object", **AB, "minProperties": 1, "maxProperties": 2}
    assert may_be(one, '{"b": true}')
    assert not may_be(one, "{}")
    two = {"type": "object", "required": ["a"], "minProperties": 2}
    assert may_be(two, '{"a": 1, "b": 2}')
    assert not may_be(two, '{"a": 1}')
    assert not may_be(two, r'{"a": 1, "\u0061": 2}')
    assert may_be({"type": "string", "minProperties": 2}, '"a"')


@pytest.mark.parametrize("name", [r"\u0061", r"\u000a", r"\u00e9", r"\/"])
def test_no_name_hides_behind_an_escape(name: str) -> None:
    properties = {name: {"type": "integer"} for name in ("a", "\n", "é", "/")}
    for further in ({}, {"patternProperties": {"^x": {"type": "integer"}}}):
        schema = {"type": "object", "properties": properties, **further}
        assert not may_be(schema, f'{{"{name}": true}}')
        assert may_be(schema, '{"a": 1, "é": 2, "/": 3}')
    assert may_be({"properties": properties}, r'{"\n": 1, "x": true, "\\\"": null}')


def test_beside_patterns_no_other_names_are_written_but_required_ones() -> None:
    schema = {"patternProperties": {"^x": {"type": "integer"}}, "required": ["a"]}
    assert may_be(schema, '{"a": true, "x": 1}')
    assert not may_be(schema, '{"a": true, "b": 1}')


def test_a_schema_that_allows_nothing_says_so() -> None:
    with pytest.raises(RefusedFormError, match=r"^allows no value$"):
        of_json_schema("false")


PATTERNS: dict[str, Any] = {"patternProperties": {"^x-": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"requierd": ["a"]}, 'keyword "requierd", which is unknown; is it "required"'),
        ({"minlength": 1}, 'is it "minLength"? Begin notes of your own with x-'),
        ({"extends": {}}, 'keyword "extends"'),
        ({"properties": {"a": {"divisibleBy": 2}}}, 'keyword "divisibleBy"'),
        ({"items": [{"anyof": []}]}, 'is it "anyOf"'),
        ({"anyOf": [{"type": "null"}, {"minimun": 3}]}, 'keyword "minimun"'),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"patern": 1}}}, 'keyword "patern"'),
        ({"$ref": "#a", "$defs": {"a": {"$anchor": "a", "patern": 1}}}, 'keyword "patern"'),
        ({"$ref": "#/$defs/a~1%20b", "$defs": {"a/ b": {"patern": 1}}}, 'keyword "patern"'),
        (REFERRING | {"components": {"schemas": {"a": {"patern": 1}}}}, 'keyword "patern"'),
        ({"x-types": {"a": {"patern": 1}}, "$ref": "#/x-types/a"}, 'keyword "patern"'),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "dependentRequired": {}},
            'keyword "dependentRequired", which is not served',
        ),
        ({"not": {}}, 'keyword "not", which is not served'),
        (PATTERNS | {"allOf": [{"properties": {"a": {}}}]}, "not served together"),
        ({"allOf": [PATTERNS, {"required": ["a"]}]}, "not served together"),
        (
            {"$ref": "#/$defs/a", "properties": {"a": {}}, "$defs": {"a": PATTERNS}},
            "not served together",
        ),
        ({"$ref": "#" + "/" * 60_000}, "nests too deep"),
    ],
)
def test_no_keyword_is_ignored(schema: dict[str, Any], reason: str) -> None:
    assert reason in refusal(schema)


def test_a_schema_within_a_grammar_is_no_other() -> None:
    with pytest.raises(RefusedFormError, match='keyword "patern"'):
        of_lark('start: "a" %json {"patern": 1}')
    quoted = 'start: "%json {\\"patern\\": 1}" // %json {"patern": 1}'
    assert of_lark(quoted) == quoted
    assert of_lark('start: %json {"type": "null"}') == 'start: %json {"type": "null"}'
    dated = of_lark('start: %json {\n"format":\n"date"} a\na: "b"')
    assert "0[469]" in dated
    assert dated.count("\n") == 3


def test_what_is_no_keyword_may_have_any_name() -> None:
    schema = {
        "properties": {"foo": {"enum": [{"foo": 1}], "default": {"foo": 1}, "x-foo": {}, "_a": 1}},
        "additionalProperties": False,
        "$defs": {"unused": {"foo": 1}},
    }
    assert may_be(schema, '{"foo": {"foo": 1}}')
    assert may_be({"type": "null", "note": "", "notes": [], "constant": 1}, "null")
    assert may_be({"type": "null", "foo": 1, "min": 2, "errorMesage": ""}, "null")
    held = REFERRING | {"components": {"schemas": {"a": {"type": "null"}, "b": {"foo": 1}}}}
    assert may_be(held, "null")


def test_dates_are_those_of_the_calendar() -> None:
    pattern = re.compile(str(prepare_schema({"format": "date"})["pattern"]))
    day, days = date(1895, 1, 1), set[str]()
    while day < date(2006, 1, 1):
        days.add(day.isoformat())
        day += timedelta(1)
    for year, month, number in (
        (y, m, d) for y in range(1895, 2006) for m in range(14) for d in range(33)
    ):
        text = f"{year}-{month:02}-{number:02}"
        assert (pattern.search(text) is not None) == (text in days)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["0001-01-01", "0004-02-29", "9999-12-31"], ["0000-01-01", "0100-02-29"]),
        ("date-time", ["2024-02-29T23:59:59.5Z"], ["2023-02-29T00:00:00Z", "2020-01-01T00:00:60Z"]),
        ("time", ["23:59:59+01:00", "00:00:00z"], ["23:59:60Z", "24:00:00Z", "00:00:00"]),
        ("duration", ["P1Y2M3DT4H5M6S", "P3W", "PT9S", "P2MT1M"], ["P", "PT", "P1234567D", "P1YT"]),
    ],
)
def test_times_are_those_that_programs_read(name: str, good: list[str], bad: list[str]) -> None:
    for schema in ({"format": name}, {"type": "string", "format": name, "pattern": "[0-9]"}):
        assert all(may_be(schema, f'"{text}"') for text in good)
        assert not any(may_be(schema, f'"{text}"') for text in bad)
    assert may_be({"format": "date"}, "7")


NAMES = st.sampled_from(["a", "b", "foo", "é"])
LEAVES = st.sampled_from(
    [{"type": "integer"}, {"enum": ["x", {"foo": 1}]}, True, {"title": "t", "type": "null"}]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda each: {"type": "array", "items": each, "maxItems": 2}, inner),
        st.builds(
            lambda properties, is_open, required: {
                "type": "object",
                "properties": properties,
                "additionalProperties": is_open,
                "required": sorted(required & properties.keys()),
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.one_of(st.booleans(), inner),
            st.frozensets(NAMES),
        ),
        st.builds(lambda each: {"anyOf": [each, {"type": "string"}]}, inner),
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.sampled_from([1, "x", None, {"foo": 1}, True]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES)
def test_what_was_served_stays_served_and_means_the_same(
    schema: dict[str, Any], value: object
) -> None:
    prepared = prepare_schema(schema)
    judge, other = (
        jsonschema.Draft202012Validator(schema),
        jsonschema.Draft202012Validator(prepared),
    )
    assert judge.is_valid(value) == other.is_valid(value)
    BYTES.begin(of_json_schema(json.dumps(schema)), b"")

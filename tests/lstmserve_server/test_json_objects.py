"""JSON that strangers send takes no more than its size explains, and is read strictly."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.json_objects import read_object

NUM_BYTES = 1 << 18
NAME, END = "a" * (NUM_BYTES // 2), '"\\ud800"'
# a long name, and many elements that it is the place of
LISTED = f'{{"{NAME}": [{"1, " * (NUM_BYTES // 8)}{END}]}}'
NESTED = f'{{"{NAME}": [{"[], {}, " * (NUM_BYTES // 20)}{END}]}}'
DEEP = f'{{"{NAME}": {"[" * 500}{END}{"]" * 500}}}'

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab\ud800\udc00é"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab."), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("body", [LISTED, NESTED, DEEP], ids=["list", "lists", "deep"])
def test_the_place_of_what_is_wrong_takes_no_more_than_it_is_long(body: str) -> None:
    data = body.encode()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"aaa: must be valid Unicode text\Z"):
            read_object(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 * len(data)  # gigabytes if each element had its place as a text


@given(st.dictionaries(st.text("ab."), values))
def test_only_text_that_is_no_unicode_is_refused(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    document = json.loads(data)  # two halves in a row are a pair
    places = find_halves("", document)
    if not places:
        assert read_object(data) == document
        return
    with pytest.raises(ValueError, match=": must be valid Unicode text") as caught:
        read_object(data)
    assert str(caught.value).removesuffix(": must be valid Unicode text") in places


def find_halves(place: str, value: object) -> list[str]:
    """Where texts stand that cannot be encoded, as errors name places."""
    if isinstance(value, dict):
        named = [(f"{place}.{name}", each) for name, each in value.items()]
    elif isinstance(value, list):
        named = [(f"{place}[{number}]", each) for number, each in enumerate(value)]
    else:
        is_half = isinstance(value, str) and "?" in value.encode(errors="replace").decode()
        return [place.removeprefix(".")] if is_half else []
    return [found for name, each in named for found in find_halves(name, each)]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b'{"a": 1, "a": 2}', "a: must appear once"),
        ('{"é": 1, "é": 2}'.encode(), "é: must appear once"),
        (b'{"\\ud800": 1}', "?: a name must be valid Unicode text"),
        (b'{"a": {"b": ["x", "\\udc00y"]}}', "a.b[1]: must be valid Unicode text"),
        (b'{"a": "\xed\xa0\x80"}', "the body must be JSON in valid utf-8"),
        ('{"a": 1}'.encode("utf-16"), "the body must be JSON in valid utf-8"),
        (b'{"a": NaN}', "the body is not valid JSON: NaN is no number of JSON"),
        (b"[1]", "the body must be a JSON object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "numbers too long, or lists too deep"),
        (b"[" * 100_000, "numbers too long, or lists too deep"),
    ],
)
def test_what_is_wrong_is_told(body: bytes, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text may follow
        read_object(body)
    assert str(caught.value).endswith(wrong)


def test_whole_pairs_and_a_mark_of_their_order_are_read() -> None:
    assert read_object(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}

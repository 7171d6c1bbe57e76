"""Requests are dealt out by weight, and a key stays where it is as long as it can."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.testbed.process import run_program
from lstmserve_server.store.shares import (
    MAX_WEIGHT,
    check_weights,
    choose_version,
    parse_traffic,
)

KEYS = [f"caller:{number}" for number in range(4_000)]
# in standard deviations, and in keys where hardly any are expected: less than one example in a
# million is further away by chance
TOLERANCE = 5.0
FEW = 3

WEIGHTS = st.dictionaries(
    st.integers(1, 99), st.integers(0, MAX_WEIGHT), min_size=1, max_size=6
).filter(lambda weights: any(weights.values()))
SOME_KEYS = st.lists(st.text(max_size=12), min_size=1, max_size=50)


@settings(max_examples=25)
@given(WEIGHTS)
def test_every_version_gets_its_part(weights: dict[int, int]) -> None:
    counts = Counter(choose_version("tiny", weights, key) for key in KEYS)
    for version, weight in weights.items():
        part = weight / sum(weights.values())
        deviation = (len(KEYS) * part * (1 - part)) ** 0.5
        assert abs(counts[version] - len(KEYS) * part) <= TOLERANCE * deviation + FEW


@given(WEIGHTS, SOME_KEYS)
def test_only_versions_with_a_weight_answer(weights: dict[int, int], keys: list[str]) -> None:
    assert all(weights[choose_version("tiny", weights, key)] > 0 for key in keys)


@given(WEIGHTS, SOME_KEYS, st.integers(1, 10))
def test_only_the_proportions_count(weights: dict[int, int], keys: list[str], factor: int) -> None:
    more = {version: weight * factor for version, weight in weights.items()}
    for key in keys:
        assert choose_version("tiny", more, key) == choose_version("tiny", weights, key)


@given(WEIGHTS, SOME_KEYS, st.integers(1, 99), st.integers(0, MAX_WEIGHT))
def test_another_weight_moves_keys_only_to_the_version_that_gains_or_from_the_one_that_loses(
    weights: dict[int, int], keys: list[str], version: int, weight: int
) -> None:
    changed = {**weights, version: weight}
    has_gained = weight > weights.get(version, 0)
    for key in keys if any(changed.values()) else ():
        before, after = (choose_version("tiny", each, key) for each in (weights, changed))
        assert before == after or version == (after if has_gained else before)


@given(WEIGHTS.filter(lambda weights: sum(map(bool, weights.values())) > 1), SOME_KEYS, st.data())
def test_a_version_that_is_gone_moves_its_own_keys_alone(
    weights: dict[int, int], keys: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(weights)))
    rest = {version: weight for version, weight in weights.items() if version != gone}
    for key in keys:
        before = choose_version("tiny", weights, key)
        assert before == gone or choose_version("tiny", rest, key) == before


def test_models_with_the_same_versions_deal_differently() -> None:
    half = {1: 1, 2: 1}
    both = Counter(tuple(choose_version(model, half, key) for model in "ab") for key in KEYS)
    assert all(abs(count - len(KEYS) / 4) < TOLERANCE * len(KEYS) ** 0.5 for count in both.values())
    assert len(both) == 4


def test_every_process_deals_alike() -> None:
    weights = {1: 80, 2: 15, 3: 5}
    program = (
        "import json, sys; from lstmserve_server.store.shares import choose_version as choose;"
        f"print(json.dumps([choose('tiny', {weights}, key) for key in json.load(sys.stdin)]))"
    )
    keys = [*KEYS[:500], "", "你好 👋", "\ud800"]
    told = run_program(
        [sys.executable, "-c", program], input=json.dumps(keys), stdout=subprocess.PIPE, text=True,
        check=True, env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert json.loads(told.stdout) == [choose_version("tiny", weights, key) for key in keys]


@pytest.mark.parametrize(
    ("weights", "said"),
    [({}, "above 0"), ({1: 0, 2: 0}, "above 0"), ({1: -1, 2: 2}, "0 to"), ({1: 10_001}, "10000")],
)
def test_weights_that_nothing_can_be_dealt_by_are_refused(
    weights: dict[int, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check_weights(weights)


def test_traffic_is_read_by_model() -> None:
    assert parse_traffic("") == {}
    assert parse_traffic(" a=1:1 ") == {"a": {1: 1}}
    assert parse_traffic("a=2:90,3:10 b-c.d=1:0,4:10000") == {
        "a": {2: 90, 3: 10},
        "b-c.d": {1: 0, 4: 10_000},
    }
    assert parse_traffic("a=1732800000:1,9223372036854775807:2") == {
        "a": {1_732_800_000: 1, 2**63 - 1: 2}
    }


@pytest.mark.parametrize(
    "text",
    ["a", "a=", "=1:1", "a=1", "a=1:", "a=:1", "a=1:1,", "a=1:1:1", "a=01:1", "a=0:1", "a=1:-1",
     "a=1:1.5", "a=1:٣", "a=1:0", "a=1:10001", "a=1:1,1:2", "a=1:1 a=2:1", "1:1", "a=1:1;2:1",
     "a=9223372036854775808:1", "a=1:9999999999", "a=" + "1" * 5000 + ":1"],
)  # fmt: skip
def test_what_is_no_traffic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_traffic(text)

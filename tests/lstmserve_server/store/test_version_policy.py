"""Which versions a policy serves, and which policies cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.store.version_policy import EXPECTED, VersionRule, parse_policy

STORED = (1, 2, 3, 10)
NUMBERS = st.integers(1, 2**63 - 1)


def chosen(text: str, model: str = "tiny", versions: tuple[int, ...] = STORED) -> list[int]:
    return sorted(parse_policy(text).of(model).choose(versions))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [10]),
        ("latest", [10]),
        ("  latest  ", [10]),
        ("latest:1", [10]),
        ("latest:2", [3, 10]),
        ("latest:999", [1, 2, 3, 10]),
        ("all", [1, 2, 3, 10]),
        ("3", [3]),
        ("10,1", [1, 10]),
        ("1,1", [1]),
        ("1,7", [1]),
        ("7", []),
    ],
)
def test_a_rule_chooses_from_what_can_be_loaded(text: str, expected: list[int]) -> None:
    assert chosen(text) == expected
    assert chosen(f"other=7 tiny={text.strip() or 'latest'}") == expected


def test_a_model_has_the_general_rule_unless_it_has_one_of_its_own() -> None:
    policy = "latest:2 other=1 third=all"
    assert chosen(policy) == [3, 10]
    assert chosen(policy, "other") == [1]
    assert chosen(policy, "third") == [1, 2, 3, 10]


def test_without_a_general_rule_the_latest_of_all_other_models_is_served() -> None:
    assert chosen("other=1") == [10]
    assert chosen("other=1", "other") == [1]


def test_nothing_is_chosen_from_nothing() -> None:
    assert all(chosen(text, versions=()) == [] for text in ("latest", "latest:3", "all", "1,2"))


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775808",
        "1" * 5000,
        "newest",
        "LATEST",
        "latest:",
        "latest:0",
        "latest:-1",
        "latest:01",
        "latest:1.5",
        "latest:1000",
        "latest:two",
        "all:2",
        "0",
        "01",
        "-1",
        "1.0",
        "1,",
        ",1",
        "1,,2",
        "1,02",
        "1 2",
        "latest all",
        "latest latest",
        "tiny=1 latest",
        "tiny=",
        "=1",
        "tiny=1 tiny=2",
        "tiny=newest",
        "tiny:1",
        "٣",
        "1;2",
    ],
)
def test_what_is_no_policy_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="must be latest, latest:N, all") as caught:
        parse_policy(text)
    assert str(caught.value).startswith(EXPECTED)


@given(st.frozensets(NUMBERS), st.integers(1, 999))
def test_the_latest_few_are_newer_than_all_others(versions: frozenset[int], count: int) -> None:
    served = VersionRule(count).choose(versions)
    assert served <= versions
    assert len(served) == min(count, len(versions))
    assert all(old < new for new in served for old in versions - served)


@given(st.frozensets(NUMBERS), st.frozensets(NUMBERS, min_size=1))
def test_pinned_versions_are_those_that_were_written(
    versions: frozenset[int], pinned: frozenset[int]
) -> None:
    rule = parse_policy(",".join(map(str, pinned))).of("any")
    assert rule.choose(versions) == pinned & versions

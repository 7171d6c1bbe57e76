"""What operators said, as one value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.store.directives import Directives

ONE, TWO = ("tiny", 1), ("tiny", 2)
NAMES = st.sampled_from(["tiny", "other"])
VERSIONS = st.tuples(NAMES, st.integers(1, 3))
SAYINGS = st.lists(
    st.one_of(
        st.tuples(st.just("requested"), VERSIONS),
        st.tuples(st.just("rejected"), VERSIONS),
    )
)


@given(SAYINGS)
def test_the_last_word_about_a_version_counts(sayings: list[tuple[str, tuple[str, int]]]) -> None:
    directives = Directives()
    for word, version in sayings:
        directives = getattr(directives, f"with_{word}")(version)
    last = {version: word for word, version in sayings}
    assert directives.requested == {each for each, word in last.items() if word == "requested"}
    assert directives.rejected == {each for each, word in last.items() if word == "rejected"}


def test_a_word_changes_nothing_that_was_there_before() -> None:
    before = Directives()
    before.with_requested(ONE).with_rejected(TWO).with_default_model("tiny").with_weights(
        "tiny", {1: 1}
    )
    assert before == Directives()


def test_versions_are_named_by_requests_and_by_weights_above_0() -> None:
    said = Directives().with_requested(ONE).with_weights("tiny", {2: 1, 3: 0})
    assert said.named("tiny") == {1, 2}
    assert said.named("other") == frozenset()


def test_versions_are_refused_by_model() -> None:
    said = Directives().with_rejected(ONE).with_rejected(("other", 2))
    assert said.refused("tiny") == {1}
    assert said.refused("other") == {2}


def test_weights_are_of_one_model_and_can_be_taken_back() -> None:
    said = Directives().with_weights("tiny", {1: 1}).with_weights("other", {1: 3, 2: 4})
    assert said.with_weights("tiny", {2: 9}).weights == {"tiny": {2: 9}, "other": {1: 3, 2: 4}}
    assert said.with_weights("tiny", {}).weights == {"other": {1: 3, 2: 4}}


def test_weights_that_change_later_elsewhere_do_not_change_here() -> None:
    weights = {1: 1}
    said = Directives().with_weights("tiny", weights)
    weights[1] = 7
    assert said.weights == {"tiny": {1: 1}}


def test_changes_of_two_who_knew_the_same_are_put_together() -> None:
    before = Directives(default_model="a").with_requested(ONE).with_weights("tiny", {1: 1})
    here = before.with_rejected(TWO).with_weights("other", {5: 5})
    there = before.with_rejected(ONE).with_default_model("b").with_weights("tiny", {})
    both = Directives(default_model="b").with_rejected(ONE).with_rejected(TWO)
    assert here.with_changes(before, there) == both.with_weights("other", {5: 5})
    assert there.with_changes(before, here) == both.with_weights("other", {5: 5})


def test_of_two_words_about_a_version_the_one_put_in_last_counts() -> None:
    before = Directives()
    requested, rejected = before.with_requested(ONE), before.with_rejected(ONE)
    assert requested.with_changes(before, rejected) == rejected
    assert rejected.with_changes(before, requested) == requested


def test_what_is_rejected_loses_its_weight() -> None:
    said = Directives().with_weights("tiny", {1: 1, 2: 3}).with_weights("other", {1: 1})
    assert said.with_rejected(ONE).weights == {"tiny": {2: 3}, "other": {1: 1}}
    assert said.with_rejected(ONE).with_rejected(TWO).weights == {"other": {1: 1}}

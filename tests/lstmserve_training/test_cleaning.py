"""Cleaning changes nothing unless asked to, and tells what it changed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.data.augmentation import Augmenter, roughen
from lstmserve_training.data.cleaning import Cleaner
from lstmserve_training.data.examples import AGENT, USER, Example, RowCounts, Turn
from lstmserve_training.data.lengths import LengthLimit
from lstmserve_training.data.pools import ReplyPools
from lstmserve_training.documents import Document
from lstmserve_training.errors import DataError
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.sections import Augmentation, Cleaning, Replace, Sentences
from lstmserve_training.recipe.shipped import find_recipe
from support.growth import HOSTILE, MOST, measure_growth


def pair(prompt: str, reply: str = "yes", label: str = "") -> Example:
    return Example((Turn(USER, prompt), Turn(AGENT, reply, label)), "faq.csv, line 2")


def clean(prompt: str, reply: str = "yes", **keys: object) -> tuple[str, ...]:
    (cleaned,) = Cleaner(Cleaning.model_validate(keys)).clean([pair(prompt, reply)], RowCounts())
    return tuple(turn.text for turn in cleaned.turns)


@given(st.text(), st.text())
def test_nothing_is_changed_unless_asked_for(prompt: str, reply: str) -> None:
    cleaner = Cleaner(Cleaning(), Cleaning())
    example = pair(prompt, reply, " A label ")
    assert cleaner.clean([example], RowCounts()) == [example]
    assert cleaner.changes.texts == 0


def test_steps_are_carried_out_in_order() -> None:
    rules = [Replace(pattern=r"\bpaypal\b", by="wallet", ignore_case=True), Replace(pattern="let")]
    assert clean("  my PayPal\n bill ", replace=rules, one_line=True) == ("my wal bill", "yes")
    assert clean("  two\n lines ", strip=True) == ("two\n lines", "yes")
    assert clean("ab", replace=[Replace(pattern="(a)(b)", by=r"\2\1")]) == ("ba", "yes")


def test_replies_keep_their_first_whole_sentences() -> None:
    sentences = Sentences(max_words=6, drop=r"\d")
    reply = "A heading\nOpen it. Call 555 now! Then wait? This is one too many."
    assert clean("Left. Alone", reply, sentences=sentences) == (
        "Left. Alone",
        "Open it. Then wait?",
    )


def test_what_was_changed_and_dropped_is_told() -> None:
    cleaner, counts = Cleaner(Cleaning(strip=True, drop_matching="secret")), RowCounts()
    kept = cleaner.clean([pair(" a "), pair("b"), pair("a secret"), pair("x", "\u2003")], counts)
    assert [example.turns[0].text for example in kept] == ["a", "b", "x"]
    assert cleaner.changes.examples[0] == ("faq.csv, line 2", " a ", "a")
    assert (cleaner.changes.texts, cleaner.changes.steps["strip"]) == (2, 2)
    assert counts.dropped == {"matches drop_matching": ["faq.csv, line 2"]}


def test_what_cleaning_empties_is_dropped() -> None:
    counts = RowCounts()
    rules = [Replace(pattern="spam")]
    assert Cleaner(Cleaning(replace=rules)).clean([pair("spam")], counts) == []
    assert counts.dropped == {"empty after cleaning": ["faq.csv, line 2"]}


def test_a_replacement_that_does_not_fit_its_pattern_is_named() -> None:
    with pytest.raises(DataError, match=r"cleaning\.replace: .* does not fit 'a'"):
        Cleaner(Cleaning(replace=[Replace(pattern="a", by=r"\3")]))


# --- the recipe that ships ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def support() -> Cleaner:
    path = find_recipe("support-en") / "support-en.toml"
    return Cleaner(read_recipe(path).sources[0].cleaning)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("I bought a Samsung phone on Amazon", "I bought a phone on our store"),
        ("my iPhone broke", "my broke"),
        ("my Samsung.", "my device."),
        ("is it on your Flipkart.com?", "is it on our store?"),
        ("paid by Google Pay", "paid by wallet app"),
        ("my HDFC bank card", "my bank card"),
        ("the DTDC man", "the courier man"),
        ("pineapple and dovetail stay", "pineapple and dovetail stay"),
        ("two\n lines\t here", "two lines here"),
    ],
)
def test_support_en_names_no_brand(support: Cleaner, text: str, cleaned: str) -> None:
    (example,) = support.clean([pair(text)], RowCounts())
    assert example.turns[0].text == cleaned


@pytest.mark.parametrize("piece", HOSTILE)
def test_support_en_is_cleaned_in_time_that_grows_with_the_text(piece: str) -> None:
    cleaner = Cleaner(read_recipe(find_recipe("support-en") / "support-en.toml").cleaning)
    assert measure_growth(lambda text: cleaner.clean([pair(text)], RowCounts()), piece) < MOST


# --- augmentation -------------------------------------------------------------------------------


@given(st.text(), st.integers())
def test_prompts_stay_as_they_are_unless_asked_for(text: str, seed: int) -> None:
    assert roughen(text, Augmentation(), random.Random(seed)) == text


@given(st.text(min_size=1), st.integers())
def test_roughening_is_repeatable(text: str, seed: int) -> None:
    config = Augmentation(greetings=["hi"], recase=True, typos=0.5, leave_out=0.5)
    once = roughen(text, config, random.Random(seed))
    assert once == roughen(text, config, random.Random(seed))


def test_a_mask_is_never_mistyped() -> None:
    rng, config = random.Random(1), Augmentation(typos=1.0, recase=True)
    roughened = [roughen("where is order [number] please", config, rng) for _ in range(300)]
    assert len(set(roughened)) > 20
    assert all("[number]" in text.lower() for text in roughened)


def test_an_earlier_exchange_is_read_back_without_its_label() -> None:
    augmenter = Augmenter(Augmentation(earlier_exchange=1.0), ReplyPools())
    examples = [pair("a", "b", "x"), pair("c", "d", "y")]
    for before, after in zip(examples, augmenter.vary(examples, random.Random(1)), strict=True):
        assert after.turns[2:] == before.turns
        assert not any(turn.label for turn in after.turns[:2])


# --- lengths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "left"), [("drop", None), ("cut", 3)])
def test_documents_that_are_too_long_are_kept_account_of(what: str, left: int | None) -> None:
    limit, example = LengthLimit(3, what), pair("x")
    short, long = (Document(list(range(n)), [1.0] * n) for n in (3, 5))
    assert limit.apply(short, example) is short
    found = limit.apply(long, example)
    assert (found and len(found.token_ids)) == left
    assert limit.places == {"faq.csv, line 2": 5}
    with pytest.raises(DataError, match=r"line 2: 5 tokens, more than split\.max_tokens = 3"):
        LengthLimit(3, "stop").apply(long, example)


def test_the_recipes_that_ship_are_read(tmp_path: Path) -> None:
    folder = find_recipe("support-en")
    for path in folder.glob("*.toml"):
        assert read_recipe(path).license == "Apache-2.0"

"""What a classifier says of questions, and of what comes after them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Classifier, ClassifierError, Turn
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME, MAX_BYTES, read_classifier_file
from lstmserve_bundle.ngram_table import NgramTable
from lstmserve_bundle.ngrams import hash_phrases, hash_word, split_words
from support.classifiers import LABELS, WIDTH, hashes_of, make_file


def ask(*texts: str) -> list[Turn]:
    """The customer and the agent, in turn."""
    return [Turn(("user", "agent")[n % 2], text) for n, text in enumerate(texts)]


def test_the_most_likely_label_comes_with_all_others_best_first() -> None:
    found = Classifier(make_file()).classify(ask("cancel it"))
    assert found.label == "cancel"
    assert sorted([found.label, *(label for label, _ in found.alternatives)]) == sorted(LABELS)
    ranking = [found.probability, *(probability for _, probability in found.alternatives)]
    assert ranking == sorted(ranking, reverse=True)
    assert sum(ranking) == pytest.approx(1)


def test_what_is_in_no_n_gram_is_out_of_scope() -> None:
    classifier = Classifier(make_file())
    assert classifier.classify(ask("xyzzy")).label == "chat"
    assert classifier.classify(ask("xyzzy")).in_scope_probability < 0.5
    assert classifier.classify(ask("refund")).in_scope_probability > 0.5


def test_labels_in_scope_are_together_as_likely_as_the_scope() -> None:
    for text in ("refund", "cancel", "xyzzy", "cell"):
        found = Classifier(make_file()).classify(ask(text))
        probabilities = dict([(found.label, found.probability), *found.alternatives])
        of_scope = probabilities["cancel"] + probabilities["refund"]
        assert of_scope == pytest.approx(found.in_scope_probability)


def test_without_labels_out_of_scope_everything_is_in_scope() -> None:
    classifier = Classifier(make_file(scope=None))
    assert classifier.classify(ask("xyzzy")).in_scope_probability == 1.0


def test_a_follow_up_is_about_what_was_said_before() -> None:
    classifier = Classifier(make_file())
    assert classifier.classify(ask("refund", "Your number?", "it is 4821")).label == "refund"
    assert classifier.classify(ask("refund", "Your number?", "no, cancel")).label == "cancel"
    assert classifier.classify(ask("hm", "Do you want a refund?", "yes")).label == "refund"
    # what the agent said after the question is no part of it
    assert classifier.classify(ask("hm", "Do you want a refund?")).label == "chat"


def test_a_conversation_without_a_question_has_a_label_too() -> None:
    assert Classifier(make_file()).classify([]).label == "chat"
    assert Classifier(make_file()).classify([Turn("agent", "refund")]).label == "chat"


@pytest.mark.parametrize(
    "text", ["REFUND!", "Refund…", "please: réfund", "\uff32\uff25fund", "'refund'"]
)
def test_case_accents_and_punctuation_make_no_difference(text: str) -> None:
    classifier = Classifier(make_file())
    words = [word for word in split_words(text) if word != "please"]
    assert words == ["refund"]
    assert classifier.classify(ask(text)).label == "refund"


def test_numbers_addresses_and_links_are_one_word_of_their_kind() -> None:
    text = "in 14 days: 4821, 0012345 or ٤٨٢, write to jo@x.org, see https://x.org/?a=1 soooo 3pm"
    assert split_words(text) == [
        *("in", "#1", "days", "#3", "#5", "or", "#3", "write", "to", "@email"),
        *("see", "@link", "soo", "#1", "pm"),
    ]


def test_the_middle_of_a_long_text_is_not_read() -> None:
    classifier = Classifier(make_file())
    filler = "word " * 2000
    assert classifier.classify(ask(f"refund {filler}")).label == "refund"
    assert classifier.classify(ask(f"{filler} refund")).label == "refund"
    assert classifier.classify(ask(f"{filler} refund {filler}")).label == "chat"


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_conversation_is_classified_the_same_each_time(texts: list[str]) -> None:
    turns = ask(*texts)
    assert Classifier(make_file()).classify(turns) == Classifier(make_file()).classify(turns)


def test_probabilities_are_these_bits_everywhere() -> None:
    """Computed once; another machine or Python that differs shows here."""
    found = Classifier(make_file()).classify(ask("Refund?", "Which order?", "4821, can I cell it?"))
    numbers = [found.probability, *(p for _, p in found.alternatives), found.in_scope_probability]
    assert [number.hex() for number in numbers] == [
        "0x1.de08a6fa92dbcp-1",
        "0x1.8a562035ca9c0p-5",
        "0x1.2a3ee0420f50ep-6",
        "0x1.e75a9dfca3564p-1",
    ]


def test_sums_are_those_of_the_rows() -> None:
    texts = [f"w{a}{b} x{b * a}z" for a in "abcdefgh" for b in range(30)]
    hashes, rng = hashes_of(texts), random.Random(1)
    rows = rng.randbytes(WIDTH * len(hashes))
    table = NgramTable(hashes, rows, WIDTH)
    long_text = " ".join(texts)
    words = split_words(long_text)
    found = table.find([*(h for word in words for h in hash_word(word)), *hash_phrases(words)])
    expected = [sum(rows[WIDTH * row + n] - 128 for row in found) for n in range(WIDTH)]
    assert len(found) > 1000
    assert table.sum_text(long_text)[0] == expected


def test_a_file_says_the_same_after_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / CLASSIFIER_NAME
    path.write_bytes(make_file().to_bytes())
    assert read_classifier_file(path) == make_file()
    assert Classifier.read(path).labels == LABELS


def damage(data: bytes) -> dict[str, bytes]:
    header = data.index(b"{")
    return {
        "does not begin as one": b"something else",
        "bytes instead of": data[:-1],
        "cut or damaged": data + b"\0",
        "labels": data.replace(b'"refund"', b'"cancel"', 1),
        "Invalid JSON": data[:header] + b"[" + data[header + 1 :],
        "temperature": data.replace(b'"temperature":1.0', b'"temperature":0.0', 1),
        "do not ascend": swap_hashes(data),
    }


def swap_hashes(data: bytes) -> bytes:
    start = data.rindex(b"}") + 1
    return data[:start] + data[start + 4 : start + 8] + data[start : start + 4] + data[start + 8 :]


@pytest.mark.parametrize("problem", damage(make_file(scope=None).to_bytes()))
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, problem: str) -> None:
    path = tmp_path / CLASSIFIER_NAME
    path.write_bytes(damage(make_file(scope=None).to_bytes())[problem])
    with pytest.raises(ClassifierError, match=problem) as caught:
        Classifier.read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_or_too_big_is_refused(tmp_path: Path) -> None:
    path = tmp_path / CLASSIFIER_NAME
    with pytest.raises(ClassifierError, match="cannot be read"):
        Classifier.read(path)
    path.write_bytes(b"\0" * (MAX_BYTES + 1))
    with pytest.raises(ClassifierError, match="at most"):
        Classifier.read(path)

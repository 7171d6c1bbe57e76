"""Prompts in other words: by words that are used alike, and by commands of the user's."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from lstmserve_training.data.augmentation import Augmenter
from lstmserve_training.data.examples import AGENT, USER, Example, Turn
from lstmserve_training.data.pools import ReplyPools
from lstmserve_training.data.rewriting import Rewrites, rewrite
from lstmserve_training.data.synonyms import CHANGED_WORDS, Synonyms, find_alike
from lstmserve_training.errors import DataError
from lstmserve_training.prepare import prepare
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.sections import Augmentation
from support.small_run import write_small_run

THINGS = ("lamp", "coat", "radio", "chair", "phone", "mug", "umbrella", "book")
UPPER = "tr a-z A-Z"


def pair(prompt: str, label: str = "") -> Example:
    return Example((Turn(USER, prompt), Turn(AGENT, "Yes.", label)))


def questions() -> list[Example]:
    """Both verbs of each pair stand in the same places; one pair belongs to each label."""
    found = []
    for thing in THINGS:
        for verb, label in (("buy", "buy"), ("purchase", "buy"), ("return", "back")):
            found.append(pair(f"how do I {verb} the {thing} today", label))
            found.append(pair(f"please {verb} my {thing} for me", label))
    return found


# --- synonyms ------------------------------------------------------------------------------------


def test_words_that_stand_in_the_same_places_are_alike() -> None:
    texts = [example.turns[0].text.lower().split() for example in questions()]
    alike = find_alike(texts, 0.6)
    assert "purchase" in alike["buy"]
    assert "buy" in alike["purchase"]
    assert "lamp" not in alike["buy"]
    assert set(alike["lamp"]) <= set(THINGS)
    assert find_alike(texts[:1], 0.6) == find_alike([], 0.6) == {}
    assert all(set(others) <= set(alike[word]) for word, others in find_alike(texts, 0.95).items())


def test_a_synonym_is_one_that_people_use_under_the_label() -> None:
    """'return' stands in the same places as 'buy', and means something else."""
    synonyms = Synonyms.learn(questions(), 0.6)
    assert synonyms.of("buy", "buy") == ["purchase"]
    assert synonyms.of("return", "back") == []
    unlabeled = [pair(example.turns[0].text) for example in questions()]
    assert "return" in Synonyms.learn(unlabeled, 0.6).of("buy", "")


def test_a_share_of_the_words_is_replaced_in_their_own_case() -> None:
    """Of 4,000 words a quarter, within 5 standard deviations (0.035)."""
    synonyms = Synonyms.learn(questions(), 0.6)
    rng = random.Random(1)
    said = Counter(synonyms.replace("Buy", "buy", rng) for _ in range(4000))
    assert set(said) == {"Buy", "Purchase"}
    assert said["Purchase"] / 4000 == pytest.approx(CHANGED_WORDS, abs=0.035)
    shouted = {synonyms.replace("BUY 12 x-y, [number]?", "buy", rng) for _ in range(100)}
    assert shouted == {"BUY 12 x-y, [number]?", "PURCHASE 12 x-y, [number]?"}


def test_only_a_share_of_the_prompts_is_touched_and_replies_never() -> None:
    synonyms = Synonyms.learn(questions(), 0.6)
    examples = [pair("buy buy buy buy buy buy", "buy")] * 2000

    def changed(share: float) -> float:
        augmenter = Augmenter(Augmentation(synonyms=share), ReplyPools(), synonyms)
        found = augmenter.vary(examples, random.Random(2))
        assert {example.turns[-1].text for example in found} == {"Yes."}
        return sum("purchase" in example.turns[0].text for example in found) / len(found)

    untouched = (1 - CHANGED_WORDS) ** 6  # of a prompt that was chosen
    assert changed(1.0) == pytest.approx(1 - untouched, abs=0.05)
    assert changed(0.5) == pytest.approx(0.5 * (1 - untouched), abs=0.05)
    assert changed(0.0) == 0


# --- commands ------------------------------------------------------------------------------------


def asked(folder: Path, *commands: str, prompts: tuple[str, ...] = ("one", "two")) -> Rewrites:
    return rewrite(commands, prompts, folder, folder / "kept.json", lambda _: None)


def test_a_command_writes_a_line_for_each_prompt(tmp_path: Path) -> None:
    found = asked(tmp_path, UPPER, prompts=("where is\nmy  lamp", "hello", "hello"))
    rng = random.Random(1)
    assert found.draw("where is\nmy  lamp", rng) == "WHERE IS MY LAMP"
    assert found.draw("hello", rng) == "HELLO"
    assert found.draw("never asked", rng) == "never asked"


def test_several_commands_take_turns_and_what_changes_nothing_is_left_out(tmp_path: Path) -> None:
    found = asked(tmp_path, UPPER, "sed s/$/!/", "cat", "sed s/.*//")
    rng = random.Random(1)
    assert {found.draw("one", rng) for _ in range(60)} == {"ONE", "one!"}


def test_no_prompt_is_sent_twice(tmp_path: Path) -> None:
    command = "tee -a sent.txt"
    asked(tmp_path, command)
    asked(tmp_path, command, prompts=("two", "three"))
    assert (tmp_path / "sent.txt").read_text() == "one\ntwo\nthree\n"
    assert set(json.loads((tmp_path / "kept.json").read_text())[command]) == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("exit 3", r"the command 'exit 3' ended with exit code 3"),
        ("head -n 1", r"wrote 1 lines for 2 prompts: it must write one for each"),
        (r"printf '\377\n\377\n'", "wrote what is not UTF-8"),
    ],
)
def test_a_command_that_fails_is_named(tmp_path: Path, command: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        asked(tmp_path, command)


def test_a_share_of_the_prompts_is_in_other_words(tmp_path: Path) -> None:
    rewrites = asked(tmp_path, UPPER)
    config = Augmentation(rewrite=[UPPER], rewritten=0.4)
    augmenter = Augmenter(config, ReplyPools(), rewrites=rewrites)
    found = augmenter.vary([pair("one")] * 2000, random.Random(3))
    share = sum(example.turns[0].text == "ONE" for example in found) / len(found)
    assert share == pytest.approx(0.4, abs=0.05)


# --- a whole recipe ------------------------------------------------------------------------------


def test_a_recipe_asks_for_both_and_is_told_what_was_found(tmp_path: Path) -> None:
    path = write_small_run(tmp_path)
    (tmp_path / "upper.py").write_text(
        "import sys\nfor line in sys.stdin: print(line.strip().upper())\n"
    )
    overrides = [
        "augmentation.synonyms=1.0",
        "augmentation.variants=2",
        f'augmentation.rewrite=["{sys.executable} upper.py"]',
        "augmentation.rewritten=1.0",
    ]
    said: list[str] = []
    work = tmp_path / "work"
    recipe = read_recipe(path, overrides)
    report = prepare(recipe, tmp_path, work, said.append)
    assert any("prompts go to" in line for line in said)
    assert "synonyms" in report
    assert report["vocabulary_wanted"] == 320
    kept = json.loads((work / "rewrites.json").read_text())
    [lines] = kept.values()
    assert lines
    assert all(other == prompt.upper() for prompt, other in lines.items())
    said.clear()
    prepare(recipe, tmp_path, work, said.append)
    assert not said

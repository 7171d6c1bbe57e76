"""Labels by table and by rule, slots, and conversations whose last turn is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.data.examples import AGENT, USER, Example, RowCounts, Turn
from lstmserve_training.data.labeling import label_examples
from lstmserve_training.data.reading import read_texts
from lstmserve_training.data.slots import fill_slots, read_slots
from lstmserve_training.encoding import Encoder, make_template, special_tokens
from lstmserve_training.errors import DataError
from lstmserve_training.prepare import prepare
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.sections import Source
from lstmserve_training.tokenizer import train_tokenizer

TURNS = {"turns": "turns", "role": "role", "content": "content"}


def chat(*texts: str) -> list[dict[str, str]]:
    return [{"role": (USER, AGENT)[at % 2], "content": text} for at, text in enumerate(texts)]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")


def source(**keys: object) -> Source:
    return Source.model_validate({"name": "n", "files": ["f"], **keys})


def make_recipe(*sources: dict[str, Any], **keys: object) -> Any:  # noqa: ANN401
    pool = {"name": "p", "files": ["pool.jsonl"], "use": "reply-pool", "kind": "replies"}
    pool["columns"] = {"reply": "reply", "label": "label"}
    named = [{"name": f"s{at}", **each} for at, each in enumerate(sources)]
    document = {"name": "m", "kind": "conversations", "license": "x", **keys}
    return check({**document, "sources": [*named, pool]}, "test")


def test_labels_of_others_become_ours_and_the_rest_is_left_out_or_named() -> None:
    rows = [Example((Turn(USER, "q"), Turn(AGENT, "", label))) for label in ("theirs", "no", "z")]
    table = {"theirs": "ours", "no": ""}
    counts = RowCounts()
    found = label_examples(rows, source(labels=table), counts)
    assert [example.label for example in found] == ["ours"]
    assert sum(map(len, counts.dropped.values())) == 2
    found = label_examples(rows, source(labels=table, other_label="other"), RowCounts())
    assert [example.label for example in found] == ["ours", "other"]


def test_a_conversation_is_labeled_by_how_it_begins() -> None:
    rules = [{"pattern": "refund", "label": "refund"}, {"pattern": "broken", "label": "broken"}]
    counts = RowCounts()
    chats = [
        Example(tuple(Turn(turn["role"], turn["content"]) for turn in chat(*texts)), texts[0])
        for texts in (
            ("My REFUND?", "Which?", "that one", "Good."),
            ("refund it, it is broken", "Oh."),
            ("hello", "Hi."),
        )
    ]
    found = [*label_examples(chats, source(label_rules=rules, contexts=2), counts)]
    assert [(len(e.turns), e.turns[-1].label) for e in found] == [(2, "refund"), (4, "refund")]
    assert {reason: len(places) for reason, places in counts.dropped.items()} == {
        "two label_rules disagree": 1,
        "no label_rule matches": 1,
    }


def test_slots_have_one_value_in_a_conversation_and_may_hold_others(tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    path.write_text('{"item": ["mug", "{color} lamp"], "color": ["red", "blue"]}')
    asked = Example((Turn(USER, "my {item}"), Turn(AGENT, "The {item}, {{number}}?")))
    found = [*fill_slots([asked], read_slots(path), 40, seed=1)]
    assert {e.turns[0].text for e in found} == {"my mug", "my red lamp", "my blue lamp"}
    assert all(e.turns[1].text == f"The {e.turns[0].text[3:]}, {{{{number}}}}?" for e in found)
    assert found == [*fill_slots([asked], read_slots(path), 40, seed=1)]


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ("[]", "must be an object of lists"),
        ('{"item": []}', "none of them empty"),
        ('{"other": ["x"]}', r"line 7: no slot is called 'item'"),
        ('{"item": ["{item}"]}', "'item' holds itself"),
        ("{", "not JSON: Expecting"),
    ],
)
def test_slots_that_cannot_be_filled_are_named(tmp_path: Path, slots: str, said: str) -> None:
    path = tmp_path / "slots.json"
    path.write_text(slots)
    example = Example((Turn(USER, "my {item}"),), "t.jsonl, line 7")
    with pytest.raises(DataError, match=said):
        list(fill_slots([example], read_slots(path), 1, seed=1))


def test_the_last_turn_of_a_labeled_conversation_is_answered_from_a_pool(tmp_path: Path) -> None:
    rows = [{"turns": chat(f"q{n}", "which?", f"this {n}"), "label": "x"} for n in range(12)]
    write_lines(tmp_path / "asked.jsonl", rows)
    write_lines(tmp_path / "pool.jsonl", [{"reply": "Here.", "label": "x"}])
    asked = {"files": ["asked.jsonl"], "kind": "replies", "columns": {**TURNS, "label": "label"}}
    ((_, examples),) = read_texts(make_recipe(asked), tmp_path).training
    assert {tuple(turn.role for turn in example.turns) for example in examples} == {
        (USER, AGENT, USER, AGENT)
    }
    assert {example.label for example in examples} == {"x"}
    rows[3]["turns"].pop()
    write_lines(tmp_path / "asked.jsonl", rows)
    with pytest.raises(DataError, match=r"line 4: the last turn must be the user's"):
        read_texts(make_recipe(asked), tmp_path)


def test_conversations_that_begin_alike_stay_together_in_all_sources(tmp_path: Path) -> None:
    begins = [f"where is order {n} refund" for n in range(40)]
    write_lines(
        tmp_path / "chats.jsonl",
        [{"turns": chat(b, "a", f"{b} {n}", "c")} for b in begins for n in range(2)],
    )
    write_lines(tmp_path / "pool.jsonl", [{"reply": "Here.", "label": "x"}])
    chats = {"files": ["chats.jsonl"], "columns": TURNS}
    rules = [{"pattern": "refund", "label": "x"}]
    labeled = {**chats, "kind": "replies", "label_rules": rules, "contexts": 2}
    given = {"files": ["pool.jsonl"], "kind": "replies", "use": "validation"}
    given["columns"] = {"prompt": "reply", "label": "label"}
    recipe = make_recipe(chats, labeled, given, split={"by": "first-turn", "held_out": 0.1})
    texts = read_texts(recipe, tmp_path)
    held = {e.turns[0].text for _, es in texts.held_out["conversations"] for e in es}
    trained = [{e.turns[0].text for e in examples} for _, examples in texts.training]
    assert len(held) == 4
    assert trained == [set(begins) - held] * 2


def test_rows_may_be_lists_in_an_object(tmp_path: Path) -> None:
    found = {"train": [[f"hello {n}", "x"] for n in range(11)], "test": [["no", "x"]]}
    (tmp_path / "data.json").write_text(json.dumps(found))
    write_lines(tmp_path / "pool.jsonl", [{"reply": "Here.", "label": "x"}])
    rows = {"files": ["data.json"], "kind": "replies", "lists": ["train"]}
    rows["columns"] = {"prompt": "0", "label": "1"}
    given = {"files": ["pool.jsonl"], "kind": "replies", "use": "validation"}
    given["columns"] = {"prompt": "reply", "label": "label"}
    ((_, examples),) = read_texts(make_recipe(rows, given), tmp_path).training
    assert [example.turns[0].text for example in examples] == [f"hello {n}" for n in range(11)]
    with pytest.raises(DataError, match=r"has no list 'dev'; there are: train, test"):
        read_texts(make_recipe({**rows, "lists": ["dev"]}, given), tmp_path)


def test_replies_before_the_labeled_one_are_read_and_not_learned(tmp_path: Path) -> None:
    template = make_template("intent", ["x"], has_roles=True)
    recipe = make_recipe({"files": ["f"], "columns": TURNS})
    section = recipe.tokenizer.model_copy(update={"vocabulary": 320})
    path = tmp_path / "tokenizer.json"
    train_tokenizer(["abc"], section, special_tokens(template)).save(str(path))
    encoder = Encoder(template, Tokenizer.from_file(path), "intent", 2.0)
    turns = (Turn(USER, "a"), Turn(AGENT, "bb"), Turn(USER, "c"), Turn(AGENT, "d", "x"))
    weights = encoder.encode(Example(turns)).weights
    assert weights == [0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 1, 1]
    weights = encoder.encode(Example(turns), prompt_weight=0.25).weights
    assert weights == [0, 0.25, 0, 0, 0, 0, 0, 0.25, 0, 2, 1, 1]


def test_what_has_a_label_is_left_for_a_classifier(tmp_path: Path) -> None:
    rows = [{"turns": chat(f"my {{item}} {n}"), "label": "x"} for n in range(12)]
    write_lines(tmp_path / "asked.jsonl", rows)
    write_lines(tmp_path / "pool.jsonl", [{"reply": "Here.", "label": "x"}])
    (tmp_path / "slots.json").write_text('{"item": ["mug"]}')
    asked = {"files": ["asked.jsonl"], "kind": "replies", "columns": {**TURNS, "label": "label"}}
    asked |= {"slots": "slots.json", "fillings": 2}
    recipe = make_recipe(asked, tokenizer={"vocabulary": 320})
    prepare(recipe, tmp_path, tmp_path / "work")
    lines = (tmp_path / "work" / "labeled.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["label"] for line in lines} == {"x"}
    texts = [json.loads(line)["turns"] for line in lines]
    assert all(turns == chat(turns[0]["content"]) for turns in texts)
    assert 20 <= len(texts) <= 22  # one question is held out, in both fillings
    assert all(turns[0]["content"].startswith("my mug ") for turns in texts)

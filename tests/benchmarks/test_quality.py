"""What ``benchmarks.quality`` computes, and that the vetted replies obey its rules."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.quality.asking import Respondent
from benchmarks.quality.judging import Judge
from benchmarks.quality.measures import CHANGES, find_faults, let_through, spread
from benchmarks.quality.sets import IN_SCOPE, SINGLE, read_rules, read_set
from benchmarks.quality.topics import TopicJudge
from lstmserve_bundle.answers import PLACEHOLDER, names_in
from lstmserve_client import Classification, Label
from lstmserve_client.testing import FakeReply, FakeRequest, FakeService
from lstmserve_training.recipe.shipped import find_recipe

SUPPORT = find_recipe("support-en")
SMALL_TALK = {"greeting", "thanks", "goodbye", "bot_question", "abuse"}
SHORT = SMALL_TALK | {"out_of_scope", "other_language"}


@pytest.fixture(scope="module")
def replies() -> list[tuple[str, str]]:
    paths = sorted((SUPPORT / "replies").glob("*.jsonl"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    return [(row["reply"], row["label"]) for row in rows]


@pytest.fixture(scope="module")
def rules() -> dict[str, list[str]]:
    return read_rules(SUPPORT / "forbidden.json")


def test_ranks_and_thresholds_are_those_of_the_definitions() -> None:
    inside = [0.1, *(0.5 + n / 100 for n in range(9))]
    assert let_through(inside, [0.05, 0.49, 0.5, 0.9]) == 2
    assert spread([0.5, 0.7]) == pytest.approx(0.1)


def test_a_change_leaves_the_question_as_it_is() -> None:
    changed = {name: change("Where's it, #4821?") for name, change in CHANGES.items()}
    assert changed == {
        "please": "please Where's it, #4821?",
        "thanks": "Where's it, #4821? Thanks",
        "upper case": "WHERE'S IT, #4821?",
        "lower case": "where's it, #4821?",
        "no punctuation": "Where's it #4821",
    }


@pytest.mark.parametrize(
    ("reply", "faults"),
    [
        ("Your order [number] is late.", ["brackets"]),
        ("Open {{Order Number}}.", ["brackets"]),
        ("We will refund you.", ["promises"]),
        ("I have cancelled your order.", ["claims"]),
        ("It has been refunded within 24 hours.", ["claims", "deadlines"]),
        ("It takes 3-5 business days.", ["deadlines"]),
        ("You get $20 for your Freemium account.", ["amounts", "foreign"]),
        ("Call (555) 123-4567.", ["phone numbers"]),
        ("Open 'My orders' and press 'Cancel order'.", []),
        ("We are sorry. You can ask our team.", []),
    ],
)
def test_a_reply_that_says_too_much_is_found(
    rules: dict[str, list[str]], reply: str, faults: list[str]
) -> None:
    assert find_faults(reply, rules) == faults


def test_vetted_replies_obey_the_rules(
    replies: list[tuple[str, str]], rules: dict[str, list[str]]
) -> None:
    for reply, _ in replies:
        assert set(names_in(reply)) <= {"order_number"}
        assert find_faults(PLACEHOLDER.sub("4821", reply), rules) == []


def test_every_label_has_replies_for_first_and_later_turns() -> None:
    for name in ("first", "later"):
        lines = (SUPPORT / "replies" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        counts = Counter(json.loads(line)["label"] for line in lines)
        assert len(counts) == 39
        least = 24 if name == "first" else 10
        assert all(count >= (10 if label in SHORT else least) for label, count in counts.items())


def test_the_judge_names_the_label_of_a_reply(replies: list[tuple[str, str]]) -> None:
    judge = TopicJudge(replies)
    assert sum(judge.judge(reply)[0] == label for reply, label in replies) > 0.99 * len(replies)


def test_sets_hold_the_turns_and_every_label_that_is_right(tmp_path: Path) -> None:
    rows = [
        {"text": "hi", "label": "x", "also": ["y"]},
        {"turns": [{"role": "user", "content": "q"}, {"role": "agent", "content": "a"}]},
        {"turns": ["q", "a", "r"], "variables_expected": {"order_number": "4821"}},
    ]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, two, three = read_set(tmp_path, "s")
    assert (one.text, one.labels) == ("hi", {"x", "y"})
    assert [(turn.role, turn.text) for turn in two.turns] == [("user", "q"), ("agent", "a")]
    assert [(turn.role, turn.text) for turn in three.turns] == [
        ("user", "q"),
        ("agent", "a"),
        ("user", "r"),
    ]
    assert three.expected == {"order_number": "4821"}


def test_the_sets_that_ship_end_with_a_question() -> None:
    for name in (*SINGLE, "followups", "memory"):
        asked = read_set(SUPPORT / "heldout", name)
        assert len(asked) >= 30
        assert all(each.turns[-1].role == "user" for each in asked)
        assert all(each.labels or each.expected for each in asked)


# --- the table, of a scripted service ----------------------------------------------------------

WORDS = {"cancel": "cancel_order", "track": "track_order", "weather": "out_of_scope"}
REPLIES = {
    "cancel_order": "Press 'Cancel' for the order.",
    "track_order": "Open the tracking page, 4821.",
    "out_of_scope": "I do not know that.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every set, with two rows of two labels."""
    for name in (*IN_SCOPE, "followups", "memory", "languages", "out_of_scope"):
        inside = name != "out_of_scope"
        texts = ("Cancel it.", "track it") if inside else ("weather?", "the weather, please track")
        rows = [
            {
                "turns": [text],
                "label": WORDS[text.lower().split()[0]] if inside else "out_of_scope",
                "variables_expected": {"order_number": "4821"},
            }
            for text in texts
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def answer(request: FakeRequest) -> FakeReply:
    """What a model does that is misled by "track" in capitals, and knows two topics."""
    text = request.text if request.text.isupper() else request.text.lower()
    word = next((word for word in WORDS if word in text), "cancel")
    label, scope = WORDS[word], 0.1 if "weather?" in text else 0.9
    named = Classification(Label(f"intent:{label}", 0.9), (), scope)
    return FakeReply(REPLIES[label], (f"intent:{label}",), classification=named)


def test_the_table_tells_what_a_model_does(folder: Path) -> None:
    service = FakeService()
    service.answer_with(answer)
    topics = TopicJudge((reply, label) for label, reply in REPLIES.items())
    rules = {"brackets": [r"\["], "numbers": [r"\d"]}
    with service.client() as client:
        judge = Judge(Respondent(client, "", ""), folder, rules, topics, num_seeds=3)
        found = {each.what: each.value for each in (*judge.understanding(), *judge.replies())}
    assert found["questions, label right"] == 1.0
    assert found["label unchanged under five changes"] == 0.5
    assert found["in or out of scope, AUROC"] == pytest.approx(0.75)
    # of twelve answers with a probability of 0.9 one is wrong
    assert found["label's calibration error"] == pytest.approx(11 / 12 - 0.9)
    assert found["out of scope answered at 90 % of in scope answered"] == 0.5
    assert found["greedy, reply on what was asked"] == 1.0
    assert found["defaults, reply on the topic of its label"] == 1.0
    assert (found["greedy, replies with brackets"], found["greedy, replies with numbers"]) == (0, 5)
    assert found["on topic over seeds, spread"] == 0.0
    assert found["what was said before is used"] == 0.5
    sampled = [request.sampling for request in service.requests]
    assert {each.seed for each in sampled} == {None, 0, 1, 2}
    assert {each.temperature for each in sampled} == {None, 0.0}

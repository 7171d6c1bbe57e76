"""A table of answers, and the version that is made of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lstmserve_bundle import open_bundle
from lstmserve_bundle.answers import ANSWERS_NAME, Answers
from lstmserve_training.answers.publishing import publish_answers
from lstmserve_training.answers.table import read_answer_table
from lstmserve_training.cli import app
from lstmserve_training.errors import DataError, TrainingError
from support.stores import copy_version
from support.understanding import HELLO, PRAISE, SPELLINGS, TRACK, make_understanding_store

LABELS = frozenset({"intent:cancel", "intent:human", "chat"})
HEAD = "label,answer,title,outcome\n"
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "answers.csv"


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "answers.csv"
    path.write_text(text, encoding="utf-8")
    return read_answer_table(path, LABELS).answers.model_dump(exclude_defaults=True)


def test_rows_become_answers(tmp_path: Path) -> None:
    text = HEAD + (
        "cancel,Order {{order_number}}: see {{page}}.,cancelling,\n"
        'intent:cancel,"Call us, please.",,\n'
        "human,,,handover\n"
        "chat,Hello {{name}}!,,\n"
        "fallback,{{first_choice}} or {{second_choice}}?,,\n"
        "forbidden,we promise,,\n"
        "{{Page}},https://x.org,,\n"
        "{{size}},,,\n"
    )
    assert read(tmp_path, text) == {
        "labels": {
            "intent:cancel": {
                "title": "cancelling",
                "answers": ["Order {{order_number}}: see {{page}}.", "Call us, please."],
            },
            "intent:human": {"outcome": "handover"},
            "chat": {"answers": ["Hello {{name}}!"]},
        },
        "placeholders": {
            "page": {"default": "https://x.org"},
            "size": {},
            "order_number": {"kind": "order_number"},
            "name": {"kind": "name"},
        },
        "fallback": {"answers": ["{{first_choice}} or {{second_choice}}?"]},
        "forbidden": ["we promise"],
    }


def test_mentions_end_replies(tmp_path: Path) -> None:
    head, order = "label,answer,mention\n", "Your order is {{order_number}}."
    text = head + f"cancel,Done.,{order}\ncancel,,{{{{page}}}} has more.\nhuman,,{order}\n"
    text += f"fallback,Hm?,{order}\n{{{{page}}}},x.org,\n"
    assert read(tmp_path, text) == {
        "labels": {
            "intent:cancel": {"answers": ["Done."], "mentions": [order, "{{page}} has more."]},
            "intent:human": {"mentions": [order]},
        },
        "placeholders": {
            "page": {"default": "x.org"},
            "order_number": {"kind": "order_number"},
        },
        "fallback": {"answers": ["Hm?"], "mentions": [order]},
    }


def test_semicolons_and_a_mark_of_the_byte_order_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, "\ufefflabel;answer\nchat;Hello, you; there\n".replace("; ", ", "))
    assert found == {"labels": {"chat": {"answers": ["Hello, you, there"]}}}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "", "lacks 'label'"),
        ("label,reply\n", "row 1", "lacks 'answer'"),
        ("label,answer,colour\n", "row 1", "has 'colour'"),
        (HEAD, "", "holds no answer"),
        (HEAD + "chat,Hi,,\nparcel,Hi,,\n", "row 3, column label", "'parcel' is no label"),
        (HEAD + ",Hi,,\n", "row 2, column label", "is empty"),
        (HEAD + "chat,,,\n", "row 2, column answer", "is empty"),
        (HEAD + "chat,Hi,,maybe\n", "row 2, column outcome", "must be one of answered"),
        (HEAD + "chat,Hi,a,\nchat,Ho,b,\n", "row 3, column title", "another one"),
        (HEAD + "chat,Hi {{nobody}},,\n", "row 2, column answer", "{{nobody}} is not known"),
        (HEAD + "chat,Hi {{name,,\n", "row 2, column answer", "bracket"),
        (HEAD + "{{first_choice}},x,,\n", "row 2, column label", "filled by the server"),
        (HEAD + "{{x,x,,\n", "row 2, column label", "placeholder"),
        (HEAD + "fallback,Hm,a title,\n", "row 2, column title", "must be empty"),
        (HEAD + "chat,Hi, you,,,\n", "row 2", "more cells"),
        ("label,answer,mention\nchat,,Hi {{no}}\n", "row 2, column mention", "{{no}} is not known"),
        ("label,answer,mention\nchat,,Hi\n", "row 2, column mention", "has no {{placeholder}}"),
        ("label,answer,mention\nchat,,{{email}\n", "row 2, column mention", "bracket"),
        ("label,answer,mention\n{{a}},b,{{a}}\n", "row 2, column mention", "must be empty"),
        (
            "label,answer,mention\nchat,,We promise {{name}}.\nforbidden,we promise,\n",
            "row 2",
            "holds the forbidden",
        ),
        (HEAD + 'chat,"Hi\n', "row", "unexpected end"),
        (HEAD + "chat,We promise,,\nforbidden,we promise,,\n", "", "holds the forbidden"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, place: str, reason: str) -> None:
    with pytest.raises(DataError, match=r"answers\.csv") as error:
        read(tmp_path, text)
    assert place in str(error.value)
    assert reason in str(error.value)


def test_a_file_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_bytes(HEAD.encode() + b"chat,sch\xf6n,,\n")
    with pytest.raises(DataError, match="not UTF-8; save it as"):
        read_answer_table(path, LABELS)


def test_the_example_fits_a_model_for_customer_service() -> None:
    names = {
        *("cancel_order", "change_order", "track_order", "delivery_period", "delivery_options"),
        *("get_refund", "check_refund_policy", "check_payment_methods", "recover_password"),
        *("contact_customer_service", "contact_human_agent", "complaint"),
    }
    found = read_answer_table(EXAMPLE, frozenset(f"intent:{name}" for name in names)).answers
    assert found.labels.keys() == {f"intent:{name}" for name in names}
    assert found.fallback is not None
    assert found.forbidden


def test_the_next_version_has_the_same_weights_and_other_answers(
    tiny_store: Path, tmp_path: Path
) -> None:
    store = make_understanding_store(tiny_store / "tiny" / "1", tmp_path / "store")
    table = tmp_path / "answers.csv"
    table.write_text(
        HEAD + f"{TRACK},Look at {{{{page}}}}.,,\n{PRAISE},Thank you.,praise,\n"
        "{{page}},x.org,,\n{{phone}},112,,\nfallback,Hm?,,\n"
    )
    arguments = ["answers", "--from", "tiny/1", "--file", str(table), "--store", str(store)]
    result = CliRunner().invoke(app, [*arguments, "--min-confidence", "0.25"])
    assert result.exit_code == 0, result.output
    before, after = (open_bundle(store / "tiny" / str(version)) for version in (1, 2))
    assert after.manifest.version == 2
    assert after.manifest.training.facts["answers_over"] == "tiny/1"
    assert after.manifest.digest != before.manifest.digest
    same = before.manifest.files.keys() - {ANSWERS_NAME}
    assert all(before.manifest.files[name] == after.manifest.files[name] for name in same)
    assert before.answers is not None
    assert after.answers is not None
    labels = after.answers.labels
    assert (labels[TRACK].answers, labels[TRACK].title) == (["Look at {{page}}."], "your parcel")
    assert (labels[PRAISE].answers, labels[PRAISE].outcome) == (["Thank you."], "answered")
    assert labels[HELLO] == before.answers.labels[HELLO]  # which the table does not name
    assert after.answers.placeholders["phone"].default == "112"
    assert after.answers.placeholders["order_number"].spellings == SPELLINGS
    assert after.answers.fallback is not None
    assert after.answers.fallback.min_confidence == 0.25
    assert after.answers.forbidden == before.answers.forbidden


def test_mentions_leave_answers_and_outcome_as_they_are(tiny_store: Path, tmp_path: Path) -> None:
    store = make_understanding_store(tiny_store / "tiny" / "1", tmp_path / "store")
    table = tmp_path / "answers.csv"
    table.write_text(f"label,answer,mention\n{PRAISE},,You gave {{{{email}}}}.\n")
    publish_answers(store, "tiny/1", table)
    table.write_text(f"label,answer,mention\n{PRAISE},Hm.,\n")
    publish_answers(store, "tiny/2", table)
    before, mentioned, replaced = (
        (open_bundle(store / "tiny" / str(version)).answers or Answers.model_validate({})).labels[
            PRAISE
        ]
        for version in (1, 2, 3)
    )
    assert mentioned == before.model_copy(update={"mentions": ["You gave {{email}}."]})
    assert (replaced.answers, replaced.mentions, replaced.outcome) == (["Hm."], [], "answered")


def test_the_example_company_has_own_words_for_the_model_that_ships(tmp_path: Path) -> None:
    """As the README says; its own answers may hold what the version forbids the network."""
    root = Path(__file__).parents[2]
    shutil.copytree(root / "model_store" / "support-en" / "3", tmp_path / "support-en" / "3")
    table = root / "docs" / "examples" / "answers.csv"
    arguments = ["answers", "--from", "support-en/3", "--file", str(table)]
    result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path)])
    assert result.exit_code == 0, result.output
    answers = open_bundle(tmp_path / "support-en" / "4").answers
    assert answers is not None
    assert "working days" in answers.forbidden
    assert "working days" in answers.labels["intent:delivery_period"].answers[0]
    assert answers.labels["intent:contact_human_agent"].outcome == "handover"
    assert not answers.labels["intent:return_item"].answers  # which is generated


def test_the_example_of_mentions_leaves_all_else_of_the_model_that_ships(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    shutil.copytree(root / "model_store" / "support-en" / "3", tmp_path / "support-en" / "3")
    publish_answers(tmp_path, "support-en/3", root / "docs" / "examples" / "mentions.csv")
    before, after = (
        (open_bundle(tmp_path / "support-en" / version).answers or Answers.model_validate({}))
        for version in ("3", "4")
    )
    assert sum(bool(each.mentions) for each in after.labels.values()) == 32
    unsaid = {
        label: each.model_copy(update={"mentions": []}) for label, each in after.labels.items()
    }
    assert after.model_copy(update={"labels": unsaid}) == before


ASKED = (
    "question,answer,outcome\n"
    "How do I return a lamp?,Print the label at {{page}}.,\n"
    "Can I send something back?,,\n"
    'I broke my lamp,"A colleague, {{name}}, takes over.",handover\n'
)


def test_questions_need_no_classifier_and_come_with_other_wordings(
    tiny_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    copy_version(tiny_store / "tiny" / "1", store)
    table = tmp_path / "faq.csv"
    table.write_text(ASKED.replace("{{page}}", "x.org"))
    arguments = ["answers", "--from", "tiny/1", "--faq", str(table), "--store", str(store)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    bundle = open_bundle(store / "tiny" / "2")
    faq = bundle.read_faq()
    assert faq is not None
    assert bundle.answers is not None
    found = faq.find("can i send something back")
    assert found is not None
    assert bundle.answers.questions[found[0]].question == "How do I return a lamp?"
    assert bundle.answers.questions[1].outcome == "handover"
    assert bundle.answers.placeholders["name"].kind == "name"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ASKED, "row 2, column answer: {{page}} is not known"),
        ("question,answer\n", "holds no question"),
        ("question\n", "row 1: lacks 'answer'"),
        ("question,answer\nHm?,,\n", "row 2: has more cells"),
        ("question,answer\nHm?,\n", "row 2, column answer: is empty"),
        ("question,answer\n,Yes\n", "row 2, column question: is empty"),
        ("question,answer,outcome\nHm?,Yes,so\n", "row 2, column outcome: must be"),
    ],
)
def test_what_is_wrong_with_questions_is_named(
    tiny_store: Path, tmp_path: Path, text: str, reason: str
) -> None:
    table = tmp_path / "faq.csv"
    table.write_text(text)
    with pytest.raises(DataError) as error:
        publish_answers(tiny_store, "tiny/1", None, table)
    assert f"{table}: {reason}" in str(error.value)


def test_a_version_that_knows_no_labels_is_refused(tiny_store: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    table.write_text(HEAD + "chat,Hi,,\n")
    with pytest.raises(DataError, match="has no classifier"):
        publish_answers(tiny_store, "tiny/1", table)
    for source in ("tiny", "tiny/9", "nobody/1", "tiny/x"):
        with pytest.raises(TrainingError, match=r"--from|--store"):
            publish_answers(tiny_store, source, table)
    assert json.loads((tiny_store / "tiny" / "1" / "manifest.json").read_text())["version"] == 1

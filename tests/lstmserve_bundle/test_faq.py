"""Which of a company's own questions a customer asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lstmserve_bundle.errors import FaqError
from lstmserve_bundle.faq import FAQ_NAME, Faq, FaqEntry

# fifty questions of an invented company, each in three other wordings: one that belongs to the
# entry, one as most customers would put it, and one that avoids its words
DATA = Path(__file__).parent.parent / "support" / "faq" / "bike_rental.jsonl"
ROWS = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
# the least likeness was chosen by the first half, so the other half is what is measured
MEASURED = range(25, 50)
STRANGE = (
    "who won the world cup in 1998",
    "how many planets does the sun have",
    "please write a poem about my grandmother",
    "is there snow in the mountains",
    "what do whales eat",
    "translate good morning to french",
    "???",
    "",
    "where can i do that",
)


@pytest.fixture(scope="module")
def faq() -> Faq:
    return Faq.build(
        [FaqEntry(row["question"], row["answer"], tuple(row["other_wordings"])) for row in ROWS]
    )


def test_every_question_finds_itself(faq: Faq) -> None:
    for number, row in enumerate(ROWS):
        for text in (row["question"], row["question"].upper(), f"Hi, {row['question']} Thanks!"):
            found = faq.find(text)
            assert found is not None
            assert found[0] == number


def test_reworded_questions_find_their_entry(faq: Faq) -> None:
    found = [faq.find(ROWS[n]["reworded"]) for n in MEASURED]
    right = [f is not None and f[0] == n for f, n in zip(found, MEASURED, strict=True)]
    assert sum(right) >= 0.85 * len(right)


def test_typing_errors_do_not_hide_a_question(faq: Faq) -> None:
    found = faq.find("I want to cancell my subscripton")
    assert found is not None
    assert ROWS[found[0]]["question"] == "How do I cancel my subscription?"


@pytest.mark.parametrize("text", STRANGE)
def test_a_question_that_none_fits_finds_none(faq: Faq, text: str) -> None:
    assert faq.find(text) is None


def test_a_written_index_finds_the_same(faq: Faq, tmp_path: Path) -> None:
    path = tmp_path / FAQ_NAME
    path.write_bytes(faq.to_bytes())
    again = Faq.read(path)
    for row in ROWS:
        assert again.rank(row["reworded"]) == faq.rank(row["reworded"])


def test_scores_are_these_bits_everywhere(faq: Faq) -> None:
    """Computed once; another machine or Python that differs shows here."""
    assert [score.hex() for _, score in faq.rank("Where is my réfund?")[:3]] == [
        "0x1.ff64adda7e586p-1",
        "0x1.1333a5277a96ap-4",
        "0x1.cac26eefef1cfp-6",
    ]


def test_the_bound_decides_what_fits() -> None:
    entries = [FaqEntry("How do I return a kettle?", "By post.")]
    assert Faq.build(entries, min_score=1.0).find("return the kettle by train") is None
    assert Faq.build(entries, min_score=0.1).find("return the kettle by train") is not None


def test_no_question_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to"):
        Faq.build([])


@pytest.mark.parametrize(
    ("problem", "damage"),
    [
        ("does not begin as one", lambda data: b"x" + data),
        ("cut or damaged", lambda data: data[:-1]),
        ("Invalid JSON", lambda data: data.replace(b'{"', b'["', 1)),
        ("no length", lambda data: data[:-4] + bytes(4)),
        ("do not ascend", lambda data: data.replace(bytes(8), b"\xff" * 8, 1)),
    ],
)
def test_a_damaged_index_is_refused_by_name(tmp_path: Path, problem: str, damage: object) -> None:
    path = tmp_path / FAQ_NAME
    entries = [FaqEntry(text, "") for text in ("kettle", "lamp")]
    assert callable(damage)
    path.write_bytes(damage(Faq.build(entries).to_bytes()))
    with pytest.raises(FaqError, match=problem) as caught:
        Faq.read(path)
    assert str(path) in str(caught.value)


def test_a_long_list_is_known_to_take_longer_to_search(faq: Faq) -> None:
    assert faq.work == 0
    many = [FaqEntry(f"{row['question']} {number}", "") for number in range(40) for row in ROWS]
    assert Faq.build(many).work >= 5

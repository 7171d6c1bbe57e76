"""The rules of quatrains, and that the recipe's forms allow exactly the poems that keep them.

Both read the books by themselves: neither knows the other.
"""

# ruff: noqa: RUF001 - Chinese punctuation is meant

from __future__ import annotations

import importlib.util
import json
import random
import re
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.verse import rules
from benchmarks.verse.figures import PATTERNS, count_copied, count_kept, count_repeated
from benchmarks.verse.rhyme_books import LEVEL, OBLIQUE, Reading, read_books
from benchmarks.verse.rules import Pattern, broken_rules, patterns_of
from lstmserve_bundle.forms import NamedForm, parse_forms
from lstmserve_training.recipe.shipped import find_recipe

FIRST = {
    "上平声部": {"一东": list("东同"), "二冬": list("冬中")},
    "下平声部": {"一先": list("先看")},
    "去声部": {"一送": list("送中"), "二宋": list("看宋")},
}
NOTICE = "作者逝世已经超过100年。"
SECOND = {
    "ping": {"上平聲部": {"上平聲一東": ["東冬"], "上平聲二冬": ["農"]}},
    "ze": {"去聲部": {"去聲一送": ["鳳" + NOTICE]}},
}
KEPT = "桥上龙亭晚，芳林雨暮花。忽怜风急鼓，萧瑟不知涯。"  # by the model
TONES = {"桥龙亭芳林花怜风萧知涯": LEVEL, "上晚雨暮忽急鼓瑟不": OBLIQUE}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("books")
    paths = [folder / "first.json", folder / "second.json"]
    for path, book in zip(paths, (FIRST, SECOND), strict=True):
        path.write_text(json.dumps(book, ensure_ascii=False), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script of the recipe."""
    spec = importlib.util.spec_from_file_location("forms", find_recipe("verse-zh") / "forms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def forms(maker: ModuleType, books: list[Path]) -> dict[str, NamedForm]:
    document = maker.make_forms([maker.read_book(path) for path in books])
    return parse_forms(json.dumps(document), "forms.py")


def known() -> dict[str, Reading]:
    """The characters of the poem."""
    return {
        character: Reading({tone}, {"麻"} if tone == LEVEL else set())
        for characters, tone in TONES.items()
        for character in characters
    }


def test_books_are_read_in_both_layouts_and_the_first_counts(books: list[Path]) -> None:
    readings = read_books(books)
    assert readings["中"] == Reading({LEVEL, OBLIQUE}, {"上平 2"})
    assert readings["冬"] == Reading({LEVEL}, {"上平 2"})  # and not the second book's
    assert readings["東"] == Reading({LEVEL}, {"上平 1"})
    assert readings["鳳"] == Reading({OBLIQUE}, set())
    assert "年" not in readings


def test_a_poem_that_keeps_all_rules() -> None:
    assert patterns_of(KEPT, known()) == [Pattern(OBLIQUE, rhymes=False)]
    assert not broken_rules(KEPT, known(), PATTERNS["wujue-1"])
    assert broken_rules(KEPT, known(), PATTERNS["wujue-3"])


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("。", ".", rules.SHAPE),
        ("桥", "鸟", rules.UNKNOWN),
        ("龙亭", "龙上", rules.ALTERNATION),
        ("龙亭", "上亭", rules.THIRD),
        ("瑟不知", "瑟龙知", rules.THREE_LEVEL),
        ("芳林", "上林", rules.LONE_LEVEL),
        ("急鼓", "急花", rules.ENDS),
        ("芳林雨暮花", "萧瑟不知涯", rules.OPPOSITION),
        ("忽怜风急鼓", "桥上龙亭晚", rules.ADHESION),
    ],
)
def test_a_poem_that_breaks_a_rule(old: str, new: str, rule: str) -> None:
    assert rule in broken_rules(KEPT.replace(old, new, 1), known())


def test_a_rhyme_is_one_group_of_the_books() -> None:
    readings = known() | {"涯": Reading({LEVEL}, {"东"})}
    assert broken_rules(KEPT, readings) == {rules.RHYME}
    either = known() | {"涯": Reading({LEVEL, OBLIQUE}, {"东", "麻"})}
    assert not broken_rules(KEPT, either)


def test_forms_allow_exactly_what_keeps_the_rules(
    forms: dict[str, NamedForm], books: list[Path]
) -> None:
    readings, chance = read_books(books), random.Random(1)
    outcomes: set[bool] = set()
    for name, form in forms.items():
        pattern = re.compile(expand(form))
        for _ in range(400):
            poem = write(name, readings, chance)
            keeps = not broken_rules(poem, readings, PATTERNS[name])
            assert (pattern.fullmatch(poem) is not None) == keeps, (name, poem)
            outcomes.add(keeps)
    assert outcomes == {True, False}


def expand(form: NamedForm) -> str:
    return re.sub(r"\{\{(.*?)\}\}", lambda name: f"[{form.classes[name[1]]}]", form.regex or "")


def write(name: str, readings: dict[str, Reading], chance: random.Random) -> str:
    """A poem of one of the patterns, into which a mistake is made twice in three times."""
    oblique_first, rhymes = PATTERNS[name].second == OBLIQUE, PATTERNS[name].rhymes
    kinds = ["OOLLO", "LLOOL", "LLLOO", "OOOLL"] if oblique_first else []
    kinds = kinds or ["LLLOO", "OOOLL", "OOLLO", "LLOOL"]
    if rhymes:
        kinds[0] = "OOOLL" if oblique_first else "LLOOL"
    of_tone = {tone: [c for c in readings if tone in readings[c].tones] for tone in "LO"}
    letters = [[chance.choice(of_tone[tone]) for tone in line] for line in kinds]
    rhyme = chance.choice(["东同", "冬中農", "先看"])
    for line, kind in zip(letters, kinds, strict=True):
        line[4] = chance.choice(rhyme) if kind[4] == LEVEL else line[4]
    for _ in range(chance.randrange(3)):
        letters[chance.randrange(4)][chance.randrange(5)] = chance.choice([*readings, "x"])
    first, second, third, fourth = map("".join, letters)
    return f"{first}，{second}。{third}，{fourth}。"


def test_a_tone_that_one_book_gives_and_no_poem_wants_is_dropped(maker: ModuleType) -> None:
    level, oblique = "桥龙亭芳林", "上晚雨暮忽"
    first = {"上平": {1: {*level, "花", "先"}}, "去声": {1: {*oblique, "花", "先", "看"}}}
    second = {"上平": {1: {*level, "花", "看"}}, "去声": {1: {*oblique}}}
    line = "桥上晚龙"  # *OOLL but for its last, which is level
    poems = [[line + "花"] * 20, ["桥上晚龙先"] * 9]
    found, denying = maker.without_unused([first, second], poems)
    assert found["去声"][1] == {*oblique, "先", "看"}  # the others stand in too few places
    assert found["上平"] == first["上平"]
    assert denying == second
    used, _ = maker.without_unused([first, second], [["上龙亭雨花", line + "花"] * 10])
    assert used == first


def test_lines_are_counted() -> None:
    other = KEPT.replace("桥上", "上上")
    copied = {each.what: each.value for each in count_copied([KEPT, other], {"桥上龙亭晚"})}
    assert copied["lines"] == 8
    assert copied["different lines"] == pytest.approx(62.5)
    assert copied["lines copied from the training text"] == pytest.approx(12.5)
    twice, rhymes = count_repeated("poems", [KEPT, other])
    assert (twice.value, rhymes.value) == (pytest.approx(12.5), 0)
    assert count_kept([KEPT, "a poem"], known()).value == 50

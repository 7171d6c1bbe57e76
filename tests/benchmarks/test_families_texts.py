"""The texts that families are compared on are read right, and nothing held out is trained on."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.families.debian import (
    Description,
    Pair,
    pair_synopses,
    pair_translations,
    read_descriptions,
)
from benchmarks.families.numerals import draw_numbers, spell
from benchmarks.families.splitting import group_pairs, split_pairs
from benchmarks.families.texts import find_frequent, mark_rare, put_pairs, put_wikitext

ENGLISH = """\
Package: clock
Description-md5: a1
Description-en: shows the time (program)
 A clock of two hands that turns
 all day long.
 .
 It has no alarm.

Package: clock-doc
Description-md5: b2
Description-en: shows the time (manual)
 A clock of two hands that turns all day long.
"""
FRENCH = """\
Package: clock
Description-md5: a1
Description-fr: montre l'heure

Package: clock-doc
Description-md5: old
Description-fr: montre l'heure - manuel
"""


@pytest.mark.parametrize("pack", [lzma.compress, bz2.compress, bytes])
def test_descriptions_are_read_however_they_are_packed(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "Translation"
    path.write_bytes(pack(ENGLISH.encode()))
    text = "A clock of two hands that turns all day long."
    assert read_descriptions(path) == [
        Description("clock", "a1", "shows the time (program)", text),
        Description("clock-doc", "b2", "shows the time (manual)", text),
    ]


def test_a_translation_of_another_text_is_no_pair(tmp_path: Path) -> None:
    for name, text in (("en", ENGLISH), ("fr", FRENCH)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    english, french = read_descriptions(tmp_path / "en"), read_descriptions(tmp_path / "fr")
    pairs = [(pair.prompt, pair.reply) for pair in pair_translations(english, french)]
    assert pairs == [("montre l'heure", "shows the time (program)")]


def test_packages_of_one_source_stay_together(tmp_path: Path) -> None:
    (tmp_path / "en").write_text(ENGLISH, encoding="utf-8")
    [group] = group_pairs(list(pair_synopses(read_descriptions(tmp_path / "en"))))
    assert [pair.reply for pair in group] == [
        "shows the time (program)",
        "shows the time (manual)",
    ]


def test_nothing_that_is_held_out_has_a_near_duplicate_that_is_trained_on() -> None:
    # chains: each pair shares a key with the next one, up to the end of its ten
    pairs = [
        Pair(f"q{n}", f"r{n}", (f"a{n}", f"{n // 10}:{n % 10}", f"{n // 10}:{n % 10 + 1}"))
        for n in range(100)
    ]
    training, held_out = split_pairs([*pairs, *pairs], num_held_out=3)
    chains = {int(pair.prompt[1:]) // 10 for pair in held_out}
    assert len(held_out) == len(chains) == 3
    assert {int(pair.prompt[1:]) // 10 for pair in training} == set(range(10)) - chains
    assert len(training) == 70  # copies are left out


def test_tables_are_written_for_what_is_given(tmp_path: Path) -> None:
    stanzas = (ENGLISH.replace("clock", f"clock{c}x").replace("time", c) for c in "abc")
    (tmp_path / "en").write_text("\n".join(stanzas), encoding="utf-8")
    assert put_pairs(tmp_path / "en", None, 1, tmp_path) == ["numbers", "synopses"]
    rows = (tmp_path / "synopses" / "held-out.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "prompt,reply,task"
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (305, "three hundred and five"),
        (12_000, "twelve thousand"),
        (99_110, "ninety-nine thousand one hundred and ten"),
    ],
)
def test_numbers_are_written_as_they_are_said(number: int, written: str) -> None:
    assert spell(number) == written


def test_made_up_answers_are_the_digits_of_what_is_asked() -> None:
    spelled = {spell(number): number for number in range(100_000)}
    for pair in draw_numbers(50, seed=3):
        wanted = [spelled[text] for text in pair.prompt.split(", ")]
        assert [int(text.replace(" ", "")) for text in pair.reply.split(", ")] == wanted
        assert 2 <= len(wanted) <= 5


def test_words_that_are_not_frequent_become_one_mark() -> None:
    frequent = find_frequent("a b b c c c <unk> <unk>", 2)
    assert frequent == {"b", "c"}
    assert mark_rare(" c a \n\n <unk> b\n", frequent) == " c ¤\n ¤ b\n"


def test_frequent_are_the_words_of_the_training_text(tmp_path: Path) -> None:
    for name, text in (("train", " seen \n"), ("test", " seen unseen \n")):
        (tmp_path / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
    put_wikitext(tmp_path, tmp_path)
    assert (tmp_path / "held-out.txt").read_text(encoding="utf-8") == " seen ¤\n"

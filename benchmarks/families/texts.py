"""Puts the texts that families are compared on where the benchmark's recipes look for them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.families.debian import pair_synopses, pair_translations, read_descriptions
from benchmarks.families.numerals import draw_numbers
from benchmarks.families.splitting import split_pairs, write_pairs
from lstmserve_training.recipe.shipped import find_recipe

NUM_WORDS = 8000
NUM_MADE_UP = 26_000  # pairs of the task that needs no text
RARE = "¤"  # one token, which no text has otherwise
UNKNOWN = "<unk>"  # what WikiText-2 has for words that are rare in all of it
HELD_OUT_WORDS = 80_000  # of its test text


def put_chats(conversations: Path, folder: Path) -> None:
    """Copy a file of conversations, JSON lines packed by gzip."""
    shutil.copyfile(conversations, folder / "conversations.jsonl.gz")


def put_wikitext(source: Path, folder: Path) -> None:
    """Write WikiText-2, of which ``source`` holds train.txt.gz and test.txt.gz.

    Words that are not frequent in its training text become one mark, in both texts.
    """
    training, test = (_read(source / name) for name in ("train.txt.gz", "test.txt.gz"))
    frequent = find_frequent(training, NUM_WORDS)
    held_out = _first_lines(test, HELD_OUT_WORDS)
    for name, text in (("training.txt", training), ("held-out.txt", held_out)):
        (folder / name).write_text(mark_rare(text, frequent), encoding="utf-8")


def put_code(folder: Path) -> None:
    """Collect the standard library of the interpreter that runs, by the script that ships."""
    script = find_recipe("code-py") / "collect.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True)  # noqa: S603 - our own


def put_pairs(
    english: Path | None, french: Path | None, num_held_out: int, work: Path
) -> list[str]:
    """Write the tables of each task that the files suffice for; return their names."""
    tasks = {"numbers": list(draw_numbers(NUM_MADE_UP, seed=1))}
    if english is not None:
        descriptions = read_descriptions(english)
        tasks["synopses"] = list(pair_synopses(descriptions))
    if english is not None and french is not None:
        others = read_descriptions(french)
        tasks["translation"] = list(pair_translations(descriptions, others))
    for name, pairs in tasks.items():
        (work / name).mkdir(parents=True, exist_ok=True)
        training, held_out = split_pairs(pairs, num_held_out)
        write_pairs(work / name / "training.csv", training, name)
        write_pairs(work / name / "held-out.csv", held_out, name)
    return list(tasks)


def find_frequent(text: str, count: int) -> frozenset[str]:
    """Return the most frequent words; of equally frequent ones, the first."""
    counts = Counter(word for word in text.split() if word != UNKNOWN)
    return frozenset(word for word, _ in counts.most_common(count))


def mark_rare(text: str, frequent: frozenset[str]) -> str:
    """Return the text with one mark for each word that is not frequent, line by line."""
    lines = (
        " ".join(word if word in frequent else RARE for word in line.split())
        for line in text.splitlines()
    )
    return "".join(f" {line}\n" for line in lines if line)


def _first_lines(text: str, num_words: int) -> str:
    kept, left = [], num_words
    for line in text.splitlines(keepends=True):
        if left <= 0:
            break
        kept.append(line)
        left -= len(line.split())
    return "".join(kept)


def _read(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read()

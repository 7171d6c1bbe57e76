"""Writes a commented recipe for a file, after a look at what is in it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmserve_training.errors import MissingInputError, TrainingError
from lstmserve_training.init.looking import Look, look_at
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.recipe.sections import Kind, Source
from lstmserve_training.recipe.toml import write_value

CLEANING = (
    "[cleaning]                        # nothing of this is done unless it is switched on",
    "# strip = true                    # remove white space around each text",
    "# one_line = true                 # white space, newlines too, becomes one space",
    '# replace = [{ pattern = "Acme", by = "our shop" }]',
    "",
)
AUGMENTATION = (
    "[augmentation]                    # questions as others might have typed them",
    "variants = 4",
    "recase = true",
    "typos = 0.2                       # share of the questions with mistyped words",
    "leave_out = 0.1                   # share that lose a word",
    "",
)
EVALUATION = (
    "[evaluation]",
    '# prompts = ["…"]               # what the model is asked after each epoch',
    "",
)
PUBLISHING = ("[publish]", 'store = "model_store"', "")
FIRST_OF_MANY = "\u2e80"


def write_recipe(
    kind: Kind, data: Path, out: Path, say: Callable[[str], object] = lambda _note: None
) -> Recipe:
    """Look at a file and write the recipe; ``say`` is told what is to be checked.

    Raises TrainingError rather than overwrite a recipe.
    """
    if out.exists():
        raise TrainingError(f"{out} exists: give another name with --output, or remove it")
    if not data.is_file():
        raise MissingInputError(f"{data}: no such file")
    file = relative_path(data, out.resolve().parent)
    source, look = look_at(kind, data, file)
    text = make_text(kind, data, source, look)
    recipe = check(tomllib.loads(text), str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    for note in look.notes:
        say(note)
    return recipe


def make_name(path: Path) -> str:
    """A name that a store takes, from a file's own."""
    stem = path.name.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:64] or "model"


def relative_path(path: Path, folder: Path) -> str:
    """A path as a recipe in ``folder`` names it."""
    whole = path.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


@dataclass(frozen=True)
class Sizes:
    """What fits so much text: minutes on two cores, not hours."""

    tokenizer: str
    vocabulary: int
    hidden: int
    epochs: int
    rows: int


def choose_sizes(kind: Kind, look: Look) -> Sizes:
    """By characters of text; a script of many letters is read letter by letter."""
    many_letters = _has_many_letters(look)
    tokenizer = "characters" if many_letters else "bpe"
    for characters, vocabulary, hidden, epochs, rows in (
        (30_000, 512, 128, 30, 8),
        (300_000, 1024, 192, 20, 16),
        (2_000_000, 2048, 256, 12, 32),
    ):
        if look.characters < characters:
            return Sizes(tokenizer, 4096 if many_letters else vocabulary, hidden, epochs, rows)
    return Sizes(tokenizer, 4096, 384 if kind == "text" else 256, 8, 64)


def _has_many_letters(look: Look) -> bool:
    """Chinese or Japanese: a letter is a word, and a prompt may end behind any of them."""
    many = sum(count for letter, count in look.letters.items() if letter >= FIRST_OF_MANY)
    return 2 * many > sum(look.letters.values())


def make_text(kind: Kind, data: Path, source: Source, look: Look) -> str:
    """Return the recipe, with a comment at every key that somebody may want to change."""
    sections = (
        _head(kind, make_name(data)),
        _source(source, look),
        CLEANING,
        _sizes(choose_sizes(kind, look)),
        AUGMENTATION if kind == "replies" and not _has_many_letters(look) else (),
        EVALUATION,
        _sampling(kind),
        PUBLISHING,
    )
    return "\n".join(_align(line) for section in sections for line in section)


def _head(kind: Kind, name: str) -> Sequence[str]:
    return (
        f"# Recipe of a model for lstmserve. Make it: lstmserve-train run {name}.toml",
        "# Only what differs from the defaults has to stand here; --print-config shows everything.",
        "",
        f"name = {json.dumps(name)}",
        f'kind = "{kind}"',
        'description = ""                  # what the model is for; callers read it',
        'license = "proprietary"           # of the model: whoever gets a copy reads it',
        "",
    )


def _source(source: Source, look: Look) -> Sequence[str]:
    """Tell what was found in the file, and ask for what only its owner knows."""
    return (
        "[[sources]]                       # repeat this section for further files",
        *_settings({"name": source.name, "files": source.files}),
        'origin = ""                       # where the text is from, such as a link',
        'license = ""                      # of the text',
        *_settings(source.model_dump(include={"encoding", "delimiter"}, exclude_defaults=True)),
        *([f'separator = "{look.separator}"'] if look.separator else []),
        *_columns(look.columns),
        *[f"# {note}" for note in look.notes],
        "",
    )


def _sizes(sizes: Sizes) -> Sequence[str]:
    """Size the tokenizer, the network and its training."""
    return (
        "[tokenizer]",
        f'kind = "{sizes.tokenizer}"       # bpe, words, or characters (any script)',
        f"vocabulary = {sizes.vocabulary}  # tokens at most",
        '# mask = ["numbers", "emails", "links"]   # [number] …, in prompts too',
        "",
        "[model]",
        f"hidden = {sizes.hidden}          # a multiple of 64; more is better and slower",
        "layers = 2",
        "",
        "[training]",
        f"epochs = {sizes.epochs}",
        f"rows = {sizes.rows}",
        "",
    )


def _sampling(kind: Kind) -> Sequence[str]:
    return (
        "[sampling]                        # the model's defaults; every request may choose others",
        f"temperature = {0.3 if kind == 'replies' else 0.7}",
        "max_tokens = 96",
        "",
    )


def _settings(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {write_value(value)}" for name, value in values.items()]


def _columns(columns: dict[str, str]) -> list[str]:
    return [f"columns = {write_value(columns)}"] if columns else []


def _align(line: str) -> str:
    """Comments behind keys stand under one another, as far as they can."""
    code, mark, comment = line.partition("  #")
    if not mark or line.startswith("#"):
        return line
    return f"{code.rstrip():<34}# {comment.strip()}"

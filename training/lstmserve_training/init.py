"""Writes a commented recipe for a file, after a look at what is in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lstmserve_training.data.tables import Row, format_of, read_rows
from lstmserve_training.data.texts import read_text
from lstmserve_training.errors import DataError, MissingInputError, TrainingError
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.recipe.sections import Kind, Source
from lstmserve_training.recipe.toml import write_value

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKED_AT = 20_000  # rows
MAX_LABELS = 200
SPARSE = 0.2  # different labels per row, at most
MIN_POEMS, SHORT_LINE = 10, 50
FIRST_OF_MANY = "\u2e80"
WORDS = {
    "prompt": ("question", "prompt", "query", "ask", "input", "instruction", "utterance", "user"),
    "reply": ("answer", "reply", "response", "output", "completion", "bot", "agent", "solution"),
    "label": ("intent", "label", "topic", "category", "class", "tag", "type"),
    "text": ("text", "headline", "title", "line", "poem", "sentence", "content", "body", "verse"),
    "conversation": ("conversation", "dialog", "session", "thread", "chat", "ticket"),
    "role": ("role", "speaker", "author", "from", "sender", "who"),
    "turns": ("turns", "messages", "conversation", "dialog"),
    "content": ("content", "text", "message", "value"),
}


@dataclass
class Look:
    """What was seen in a file."""

    form: str
    rows: int = 0
    characters: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    separator: str = ""
    letters: Counter[str] = field(default_factory=Counter)


def write_recipe(kind: Kind, data: Path, out: Path) -> Recipe:
    """Look at a file and write the recipe; raises TrainingError rather than overwrite one."""
    if out.exists():
        raise TrainingError(f"{out} exists: give another name with --output, or remove it")
    if not data.is_file():
        raise MissingInputError(f"{data}: no such file")
    source = Source(name=data.stem, files=[relative_path(data, out.resolve().parent)])
    look = _look(kind, data, source)
    text = make_text(kind, data, source.files[0], look)
    recipe = check(_parse(text), str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return recipe


def make_name(path: Path) -> str:
    """A name that a store takes, from a file's own."""
    stem = path.name.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:64] or "model"


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - the text is our own

    return tomllib.loads(text)


def relative_path(path: Path, folder: Path) -> str:
    """A path as a recipe in ``folder`` names it."""
    whole = path.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


# --- looking -----------------------------------------------------------------------------------


def _look(kind: Kind, path: Path, source: Source) -> Look:
    look = Look(format_of(path, source.format))
    if look.form == "text":
        _look_at_text(kind, path, look)
        return look
    rows = list(islice(read_rows(path, source), LOOKED_AT))
    if not rows:
        raise DataError(f"{path}: holds no row")
    look.rows = len(rows)
    look.columns = _choose(kind, rows, look)
    for row in rows:
        for name in ("prompt", "reply", "text", "turns"):
            _count(look, str(row.values.get(look.columns.get(name, ""), "")))
    return look


def _look_at_text(kind: Kind, path: Path, look: Look) -> None:
    if kind in ("replies", "conversations"):
        raise DataError(f"{path}: is plain text; {kind} need a table or JSON lines")
    separator = "line" if kind == "lines" else "blank-line"
    texts = [row.values["text"] for row in islice(read_text(path, "utf-8", separator), LOOKED_AT)]
    for text in texts:
        _count(look, text)
    look.rows = len(texts)
    if kind == "text":
        look.separator = "blank-line" if _are_poems(texts) else "file"
        other = "file" if look.separator == "blank-line" else "blank-line"
        meaning = "it is one long text" if other == "file" else "each is a text of its own"
        look.notes.append(
            f"it has {len(texts):,} blocks between blank lines; set separator = "
            f"{json.dumps(other)} if {meaning}"
        )


def _are_poems(texts: Sequence[str]) -> bool:
    """Whether blocks are many and made of several short lines, as no book's paragraphs are."""
    lines = [text.split("\n") for text in texts]
    return (
        len(texts) >= MIN_POEMS
        and median(map(len, lines)) > 1
        and median(len(line) for block in lines for line in block) <= SHORT_LINE
    )


def _count(look: Look, text: str) -> None:
    look.characters += len(text)
    look.letters.update(text[:2000])


def _choose(kind: Kind, rows: Sequence[Row], look: Look) -> dict[str, str]:
    names = list(rows[0].values)
    wanted = {
        "replies": ("prompt", "reply", "label"),
        "conversations": ("turns", "conversation", "role", "text"),
    }.get(kind, ("text",))
    if kind == "conversations":
        return _choose_turns(rows, names, look)
    found: dict[str, str] = {}
    for part in wanted:
        name = _match(part, [name for name in names if name not in found.values()])
        if part == "label" and name and not _is_label(rows, name):
            look.notes.append(f"column {name!r} has too many different values for a label")
            name = ""
        if name:
            found[part] = name
    needed = [part for part in wanted if part != "label"]
    missing = [part for part in needed if part not in found]
    if missing:
        found |= _guess(rows, [n for n in names if n not in found.values()], missing)
        look.notes.append("the names of the columns do not say what they hold: check them")
    return {part: found[part] for part in wanted if part in found}


def _choose_turns(rows: Sequence[Row], names: list[str], look: Look) -> dict[str, str]:
    lists = [name for name in names if isinstance(rows[0].values[name], list)]
    if lists:
        turns = _match("turns", lists) or lists[0]
        inner = _keys_of_turns(rows, turns)
        role, content = _match("role", inner), _match("content", inner)
        found = {"turns": turns, "role": role or "role", "content": content or "content"}
    else:
        parts = {part: _match(part, names) for part in ("conversation", "role", "text")}
        parts["conversation"] = parts["conversation"] or _match_exactly(names, ("id", "key"))
        found = {part: name for part, name in parts.items() if name}
        if len(found) < len(parts):
            raise DataError(
                f"{rows[0].place}: no columns that say which conversation a turn belongs to, who "
                f"speaks, and what; there are: {', '.join(map(repr, names))}. Name them "
                "'conversation', 'role' and 'text', or write the recipe by hand"
            )
    look.notes.append(
        "check the names of roles: 'users' ask, 'agents' are what the model speaks as"
    )
    return found


def _keys_of_turns(rows: Sequence[Row], turns: str) -> list[str]:
    """The names in the first turn that there is."""
    for row in rows:
        for turn in row.values.get(turns) or ():
            return list(turn) if isinstance(turn, dict) else []
    return []


def _match(part: str, names: Sequence[str]) -> str:
    """The column whose name says most clearly that it holds this part."""
    words = WORDS[part]
    exact = _match_exactly(names, words)
    if exact:
        return exact
    inside = [name for word in words for name in names if word in name.lower()]
    if inside:
        return inside[0]
    letters = {"prompt": ("q",), "reply": ("a",)}.get(part, ())
    return _match_exactly(names, letters)


def _match_exactly(names: Sequence[str], words: Sequence[str]) -> str:
    return next((name for word in words for name in names if name.lower() == word), "")


def _is_label(rows: Sequence[Row], name: str) -> bool:
    values = {str(row.values.get(name, "")) for row in rows}
    return 1 < len(values) <= max(2, min(MAX_LABELS, SPARSE * len(rows)))


def _guess(rows: Sequence[Row], names: list[str], parts: list[str]) -> dict[str, str]:
    """The columns with the longest texts, in the order in which they stand."""

    def length(name: str) -> int:
        return sum(len(str(row.values.get(name) or "")) for row in rows)

    longest = sorted(names, key=length, reverse=True)[: len(parts)]
    if len(longest) < len(parts):
        raise DataError(
            f"{rows[0].place}: {len(parts)} columns are needed for {' and '.join(parts)}; there "
            f"are: {', '.join(map(repr, rows[0].values))}"
        )
    return dict(zip(parts, [name for name in names if name in longest], strict=True))


# --- writing -----------------------------------------------------------------------------------


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


def make_text(kind: Kind, data: Path, file: str, look: Look) -> str:
    """The recipe, with a comment at every key that somebody may want to change."""
    sizes = choose_sizes(kind, look)
    source = {"name": data.stem, "files": [file]}
    lines = [
        f"# Recipe of a model for lstmserve. Make it: lstmserve-train run {make_name(data)}.toml",
        "# Only what differs from the defaults has to stand here; --print-config shows everything.",
        "",
        f"name = {json.dumps(make_name(data))}",
        f'kind = "{kind}"',
        'description = ""                  # what the model is for; callers read it',
        'license = "proprietary"           # of the model: whoever gets a copy reads it',
        "",
        "[[sources]]                       # repeat this section for further files",
        *_settings(source),
        'origin = ""                       # where the text is from, such as a link',
        'license = ""                      # of the text',
        *([f'separator = "{look.separator}"'] if look.separator else []),
        *_columns(look.columns),
        *[f"# {note}" for note in look.notes],
        "",
        "[cleaning]                        # nothing of this is done unless it is switched on",
        "# strip = true                    # remove white space around each text",
        "# one_line = true                 # white space, newlines too, becomes one space",
        '# replace = [{ pattern = "Acme", by = "our shop" }]',
        "",
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
        "[evaluation]",
        '# prompts = ["…"]               # what the model is asked after each epoch',
        "",
        "[sampling]                        # the model's defaults; every request may choose others",
        f"temperature = {0.3 if kind == 'replies' else 0.7}",
        "max_tokens = 96",
        "",
        "[publish]",
        'store = "model_store"',
        "",
    ]
    return "\n".join(map(_align, lines))


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

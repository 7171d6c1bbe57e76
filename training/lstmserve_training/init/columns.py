"""Guesses which column of a table holds what, by names and lengths."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve_training.data.tables import Row
from lstmserve_training.errors import DataError
from lstmserve_training.recipe.sections import Kind

MAX_LABELS = 200
SPARSE = 0.2  # different labels per row, at most
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


def choose_columns(kind: Kind, rows: Sequence[Row], notes: list[str]) -> dict[str, str]:
    """The columns by what they hold; ``notes`` are told what is to be checked."""
    names = list(rows[0].values)
    wanted = {
        "replies": ("prompt", "reply", "label"),
        "conversations": ("turns", "conversation", "role", "text"),
    }.get(kind, ("text",))
    if kind == "conversations":
        return _choose_turns(rows, names, notes)
    found: dict[str, str] = {}
    for part in wanted:
        name = _match(part, [name for name in names if name not in found.values()])
        if part == "label" and name and not _is_label(rows, name):
            notes.append(f"column {name!r} has too many different values for a label")
            name = ""
        if name:
            found[part] = name
    needed = [part for part in wanted if part != "label"]
    missing = [part for part in needed if part not in found]
    if missing:
        found |= _guess(rows, [n for n in names if n not in found.values()], missing)
        notes.append("the names of the columns do not say what they hold: check them")
    if "label" in wanted and "label" not in found:
        notes += _note_labels(rows, [name for name in names if name not in found.values()])
    return {part: found[part] for part in wanted if part in found}


def _choose_turns(rows: Sequence[Row], names: list[str], notes: list[str]) -> dict[str, str]:
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
    notes.append("check the names of roles: 'users' ask, 'agents' are what the model speaks as")
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


def _note_labels(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Columns of few different words, whatever they are called."""
    likely = [
        name
        for name in names
        if _is_label(rows, name) and not str(rows[0].values.get(name, "")).isdecimal()
    ]
    return [
        f"column {name!r} may say what a row is about: label = {name!r}?" for name in likely[:3]
    ]


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

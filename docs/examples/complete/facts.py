"""What the text before the cursor says of the place: its line, and the blocks that are open."""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass, replace

HEADERS = {
    *("if", "elif", "else", "for", "while", "try", "except", "finally", "with", "def", "class"),
    "async",
}
LAYOUT = {tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER}
# the first line of one, with its decorators
DEFINITION = re.compile(r"^(?:@[^\n]*\n)*(?:def|class|async def) ", re.MULTILINE)
STEP = 4  # spaces of a deeper block


class UnreadableError(ValueError):
    """The text is not Python as far as it goes."""


@dataclass(frozen=True)
class Line:
    """A logical line: where it begins, how far it is indented, and its first word."""

    start: int
    indent: int
    word: str
    is_header: bool
    is_whole: bool


@dataclass(frozen=True)
class Place:
    """Where the cursor is: what of its statement is typed, and which blocks are open.

    ``tail`` is the statement so far, without its indentation. ``blocks`` are the headers that are
    open around it, by first word and indentation; ``ended`` is the first word of the header whose
    block ended just before, where the statement may go on with it, as ``else`` does.
    """

    tail: str
    indent: int
    blocks: tuple[tuple[str, int], ...]
    ended: str = ""
    is_new_line: bool = False  # nothing of it is typed, not even its indentation
    is_first: bool = False  # of its block

    @property
    def indents(self) -> list[int]:
        """Of all levels, the outermost first; the last one is the statement's."""
        return [indent for _, indent in self.blocks] + [self.indent]


def read_place(text: str) -> Place:
    """Return where the cursor is behind ``text``; raises UnreadableError.

    Only what follows the last definition of the module is read, so that a long file takes no time.
    """
    definitions = list(DEFINITION.finditer(text))
    text = text[definitions[-1].start() :] if definitions else text
    lines = _logical_lines(text)
    typed = text[text.rfind("\n") + 1 :]
    if lines and not lines[-1].is_whole:
        current = lines.pop()
    elif typed.strip(" "):
        raise UnreadableError("the cursor is in a comment")
    else:
        current = Line(len(text) - len(typed), len(typed), "", False, False)
    is_first = bool(lines) and lines[-1].is_header
    blocks = _open_blocks(lines)
    if not typed and lines and lines[-1].word == "@":
        current = replace(current, indent=lines[-1].indent)
    elif not typed and not current.word:
        indent = lines[-1].indent + STEP * is_first if lines else 0
        return Place("", indent, tuple(blocks), is_new_line=True, is_first=is_first)
    ended = ""
    while blocks and blocks[-1][1] >= current.indent:
        word, indent = blocks.pop()
        ended = word if indent == current.indent else ""
    if is_first and ended:
        raise UnreadableError("a block is empty")
    start = _first_decorator(lines, current)
    return Place(text[start:].lstrip(" "), current.indent, tuple(blocks), ended, False, is_first)


def _open_blocks(lines: list[Line]) -> list[tuple[str, int]]:
    blocks: list[tuple[str, int]] = []
    for line in lines:
        while blocks and blocks[-1][1] >= line.indent:
            blocks.pop()
        if line.is_header:
            blocks.append((line.word, line.indent))
    return blocks


def _first_decorator(lines: list[Line], current: Line) -> int:
    """Where the statement begins: with its first decorator, if it has any."""
    start = current.start
    for line in reversed(lines):
        if line.word != "@" or line.indent != current.indent:
            return start
        start = line.start
    return start


def _logical_lines(text: str) -> list[Line]:
    """All logical lines; the last one may not be whole."""
    starts = [0]
    for line in io.StringIO(text):
        starts.append(starts[-1] + len(line))
    found: list[Line] = []
    pieces: list[tuple[str, tuple[int, int]]] = []  # of the line, with row and column
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NEWLINE and token.string:
                found.append(_line(pieces, starts, is_whole=True))
                pieces = []
            elif token.type not in LAYOUT and token.string:
                pieces.append((token.string, token.start))
    except tokenize.TokenError as error:  # the text ends inside brackets or a string
        if "string" in error.args[0]:
            pieces.append(("", error.args[1]))
    except IndentationError as error:
        raise UnreadableError(str(error)) from None
    return [*found, _line(pieces, starts, is_whole=False)] if pieces else found


def _line(pieces: list[tuple[str, tuple[int, int]]], starts: list[int], *, is_whole: bool) -> Line:
    word, (row, column) = pieces[0]
    is_header = is_whole and pieces[-1][0] == ":" and word in HEADERS
    return Line(starts[row - 1], column, word, is_header, is_whole)

"""Fills the gaps of a reply's text, and leaves out sentences that must not go out.

What is kept and shared is the text with its gaps: this is the last step before the caller. The text
that is out after some tokens depends on those tokens and the request alone, so a reply may be
resumed, replayed or sent whole, and is the same.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import msgspec

from lstmserve_bundle import Answers, Turn
from lstmserve_bundle.answers import PLACEHOLDER, names_in, to_name
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.replies.customer_facts import FINDERS, find_fact
from lstmserve_server.replies.reply import Part, ReplyOutcome

# a sentence ends before the white space that follows it, or before a new line
END = re.compile(r"[.!?…][\"')\]\u201d\u2019]{0,4}(?=\s)|\S(?=[^\S\n]{0,8}\n)")
END_CHARACTERS = 16  # that an end may have, with the white space which shows it
# of what is out, where it is no part of a sentence
WHOLE = re.compile(r"[.!?…][\"')\]\u201d\u2019]{0,4}\s*\Z")
# after these a full stop does not end it, nor after the number of an item at its beginning
ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|mr|mrs|ms|dr|st|no|nr|vs|approx|incl)\.\Z", re.IGNORECASE
)
ITEM = re.compile(r"\s{0,8}\d{1,3}\.\Z")
ABBREVIATION_CHARACTERS = 16  # more than any has: whole sentences would be searched at every stop
KINDS = frozenset(FINDERS)


@dataclass(frozen=True, slots=True)
class Values:
    """What may stand in the gaps of one reply."""

    answers: Answers
    variables: Mapping[str, str] = field(default_factory=dict)
    turns: Sequence[Turn] = ()  # of the conversation, oldest first
    mentions: Sequence[str] = ()  # sentences that end the reply, if they say anything new
    typed: Mapping[str, str | None] | None = None  # by kind; None: it is looked for when needed

    def read(self) -> Values:
        """Return these with all that the user typed found: in a long text that takes a while."""
        return replace(self, typed={kind: find_fact(kind, self.turns) for kind in KINDS})

    def find(self, name: str) -> str | None:
        """Return the value for a placeholder: the request's, what was typed, or the default."""
        declared = self.answers.placeholders.get(name)
        kind = declared.kind if declared is not None else name
        for given in (name, kind):
            if given in self.variables:
                return self.variables[given]
        return self._find_typed(kind) or (declared.default if declared is not None else None)

    def _find_typed(self, kind: str) -> str | None:
        if kind not in KINDS:
            return None
        return find_fact(kind, self.turns) if self.typed is None else self.typed[kind]


class FillIn:
    """The text of one reply as its caller gets it, one whole sentence after the other."""

    def __init__(self, values: Values, *, is_vetted: bool) -> None:
        """Own answers are not searched for what models write: spellings and forbidden phrases."""
        self._values = values
        self._gap = PLACEHOLDER if is_vetted else values.answers.gap_pattern
        self._is_vetted = is_vetted
        self._found: dict[str, str | None] = {}  # by placeholder: to search a long chat takes time
        self._held = ""
        self._searched = 0  # characters of the held text in which no sentence ends
        self._out = list[str]()  # what is out, where it must be known at the end
        self._is_empty = True  # nothing is out
        self.num_left_out = 0  # sentences
        self.has_changed = False  # anything of the text

    def push(self, text: str, *, is_last: bool = False) -> str:
        """Add text; return what may go out by now."""
        self._held += text
        out = ""
        while (end := self._find_end()) is not None:
            out += self._take(end)
        return out + self._take(len(self._held)) if is_last else out

    @property
    def is_empty(self) -> bool:
        """Whether nothing has gone out."""
        return self._is_empty

    def mention(self) -> str:
        """Return what is to be said behind a reply that has ended: values that it has not said."""
        out, said = list[str](), "".join(self._out)
        if not WHOLE.search(said):
            return ""
        for sentence in self._values.mentions:
            filled = self._fill(sentence, is_vetted=True)
            if filled is not None and not self._has_said(said, sentence):
                out.append(filled if said[-1].isspace() and not out else f" {filled}")
        self.has_changed = self.has_changed or bool(out)
        return "".join(out)

    def _has_said(self, said: str, sentence: str) -> bool:
        values = filter(None, map(self._find, names_in(sentence)))
        return all(re.search(rf"(?<!\w){re.escape(each)}(?!\w)", said) for each in values)

    def fall_back(self) -> str:
        """Return what is said where nothing is left of a reply."""
        fallback = self._values.answers.fallback
        if fallback is None:
            return ""
        values = replace(self._values, mentions=fallback.mentions)
        filling = FillIn(values, is_vetted=True)
        return filling.push(fallback.answers[0], is_last=True) + filling.mention()

    def _find_end(self) -> int | None:
        for found in END.finditer(self._held, self._searched):
            if not self._goes_on_after(found.end()):
                return found.end()
        # the last characters may be the beginning of an end
        self._searched = max(self._searched, len(self._held) - END_CHARACTERS)
        return None

    def _goes_on_after(self, stop: int) -> bool:
        """Return whether a full stop is that of an abbreviation or of an item's number."""
        start = max(0, stop - ABBREVIATION_CHARACTERS)
        is_short = ABBREVIATION.search(self._held, start, stop) is not None
        return is_short or ITEM.match(self._held, 0, stop) is not None

    def _take(self, end: int) -> str:
        sentence, self._held, self._searched = self._held[:end], self._held[end:], 0
        filled = self._fill(sentence)
        self.has_changed = self.has_changed or filled != sentence
        if filled is None:
            self.num_left_out += 1
            return ""
        if self._is_empty and filled[:1].isspace():
            filled, self.has_changed = filled.lstrip(), True
        self._is_empty = self._is_empty and not filled
        if self._values.mentions:
            self._out.append(filled)
        return filled

    def _fill(self, sentence: str, *, is_vetted: bool = False) -> str | None:
        """Return a sentence as it goes out; None if it does not."""
        answers, parts, start = self._values.answers, list[str](), 0
        if not (is_vetted or self._is_vetted) and answers.find_forbidden(sentence) is not None:
            return None
        for found in (PLACEHOLDER if is_vetted else self._gap).finditer(sentence):
            name = answers.spelled.get(found[0].casefold()) or to_name(found[1] or "")
            value = self._find(name)
            if value is None:
                return None
            parts += sentence[start : found.start()], value
            start = found.end()
        rest = sentence[start:]
        if any("{{" in part or "}}" in part for part in (*parts[::2], rest)):
            return None  # a gap that is none, or that is cut off
        return "".join((*parts, rest))

    def _find(self, name: str) -> str | None:
        if name not in self._found:
            self._found[name] = self._values.find(name)
        return self._found[name]


async def fill_in(parts: AsyncGenerator[Part], filling: FillIn) -> AsyncGenerator[Part]:
    """Yield a reply's parts as their caller gets them.

    When all sentences are left out, the version's fallback answer takes their place. What is known
    of the customer and was not said comes behind a reply that was not cut off.
    """
    async with aclosing(parts):
        async for part in parts:
            finish, outcome = part.output.finish, part.outcome
            text = filling.push(part.output.text, is_last=finish is not None)
            if finish is not None and filling.is_empty and filling.num_left_out:
                text, outcome = filling.fall_back(), ReplyOutcome.UNSURE
            elif finish is not None and finish.reason is FinishReason.END_OF_TEXT:
                text += filling.mention()
            output = msgspec.structs.replace(part.output, text=text)
            yield msgspec.structs.replace(
                part, output=output, outcome=outcome, is_changed=filling.has_changed
            )

"""Where numbers stand in a text: with the groups that belong to them, and what is around them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from lstmserve_server.replies.order_numbers import other
from lstmserve_server.replies.order_numbers.naming import any_of

# no group is possessive: before Python 3.11.5 such groups take parts of what they repeat
# what is before the @ has 64 characters at most (RFC 5321), and may have an apostrophe within
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-][\w.+'-]{0,63}+@[\w-]++(?:\.[\w-]++)+")
LINK = re.compile(
    r"(?:https?://|www\.)\S++"
    # shop.example/48213, but not no.po/48213
    r"|(?<![\w.-])(?!(?:no|nr|num|number|order|ref|id)\.)(?:[a-z][\w-]*+\.)+[a-z]{2,}+/\S++",
    re.IGNORECASE,
)
# runs of letters and digits, perhaps joined: 48213, ORD-20931, PO/8845/24, AB:304812, 4711.22.8
RUN = re.compile(
    r"[A-Za-z0-9]++(?:(?:[-_/]|(?<=\d)\.(?=\d)|(?<=\d),(?=\d{1,3}(?!\d))|(?<=[A-Z\d]):(?=\d))"
    r"[A-Za-z0-9]++)*"
)
MAX_RUNS = 8  # with digits in them, the last ones of a text
MAX_LENGTH = 40  # of a number
MAX_GROUPS = 8
WINDOW = 64  # characters before and after a number that say what it is
FEW_WORDS = 4  # in so few, capitals are an abbreviation's
# keyboards make these of a hyphen and an apostrophe
PLAIN = str.maketrans(
    {
        "\u2010": "-",
        "\u2011": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2026": ".",
    }
)
# a group across a space: 48 213 77, 77412 A, 20-33 1187, 4821 - 22
GROUP = re.compile(
    r" (?:[-/] )?(?:(?:[A-Z]{1,3})?\d{1,8}[A-Z]{0,2}|[A-HJ-Z][A-Z]?|[b-h])(?![\w]|[.,:/@-]\w)"
)
# PO 4471, as nobody would write a word
PREFIX = re.compile(r"(?<![\w/-])([A-Z]{1,4}|ord|po) \Z")
# what goes before order numbers, even in a text that is all in capitals
KNOWN_PREFIXES = frozenset(("ORD", "PO", "SO", "WEB", "INV"))
NO_PREFIX = re.compile(
    any_of(
        """I ID NO NR OK IS WAS AT ON IN TO OF BY MY THE AND FOR NOT NUM REF USD EUR GBP CHF AUD CAD
        INR UK US EU PM AM TV PC BOX ZIP TEL PIN QTY VAT JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV
        DEC ASAP PLS EAN UPC ISBN IMEI RMA SKU"""
    )
)
# order-48213, no48213: the word says what it is, and is no part of it
WORD = re.compile(
    r"(?:(?:orders?|number|num|no|nr|id|order(?:no|nr|num|number|id))[-_:]?|ref[_:]?)(?=\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A number and the text around it."""

    number: str
    before: str
    after: str

    @property
    def num_digits(self) -> int:
        return sum(map(str.isdigit, self.number))

    @property
    def is_ended(self) -> bool:
        """Whether it counts nothing: no noun follows."""
        return other.ENDS.match(self.after) is not None

    @property
    def is_cut(self) -> bool:
        """Whether it is a part of something: of +44, of a@5, of a word with an umlaut."""
        last, following = self.before[-1:], self.after[:1]
        is_in_word = (last.isalpha() and not last.isascii()) or following.isalpha()
        return last in {"@", "+"} or following == "@" or is_in_word


def find_places(text: str) -> Iterator[Place]:
    """Yield the last numbers of a text, in their order."""
    text = EMAIL.sub(" ", LINK.sub(" ", text)).translate(PLAIN)
    is_upper = text.isupper() and len(text.split(maxsplit=FEW_WORDS)) > FEW_WORDS
    runs = (run for run in RUN.finditer(text) if any(map(str.isdigit, run[0])))
    end = 0
    for run in deque(runs, maxlen=MAX_RUNS):
        if run.start() < end:
            continue  # a group of the number before it
        start, end = _span(text, run, is_upper=is_upper)
        if end - start <= MAX_LENGTH:
            before, after = text[max(0, start - WINDOW) : start], text[end : end + WINDOW]
            yield Place(text[start:end], before, after)


def _span(text: str, run: re.Match[str], *, is_upper: bool) -> tuple[int, int]:
    """Return where a number begins and ends, with what belongs to it across spaces."""
    word = WORD.match(run[0])
    start, end = run.start() + (word.end() if word else 0), run.end()
    if text[start:end].upper() == text[start:end]:
        end = _end_of_groups(text, end)
    if text[start].isdigit() and word is None:
        prefix = PREFIX.search(text, max(0, start - 6), start)
        if prefix is not None and _is_prefix(prefix[1], is_upper=is_upper):
            start = prefix.start()
    return start, end


def _end_of_groups(text: str, end: int) -> int:
    """Return the end of the last group after which the sentence ends or goes on."""
    last = end
    for _ in range(MAX_GROUPS):
        group = GROUP.match(text, end)
        if group is None or NO_PREFIX.fullmatch(group[0].strip(" -/")):
            break
        end = group.end()
        if other.ENDS.match(text[end : end + WINDOW]):
            last = end
    return last


def _is_prefix(letters: str, *, is_upper: bool) -> bool:
    return letters.upper() in KNOWN_PREFIXES or not (is_upper or NO_PREFIX.fullmatch(letters))

"""Text as the numbers of the n-grams in it: what a classifier and a list of questions read.

The same on every machine and Python: letters beyond ASCII are told apart by Unicode 3.2, whose
tables no release changes. Takes time in proportion to the text, and reads a bounded part of it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import ucd_3_2_0
from zlib import crc32

# Of a longer text its beginning and its end are read: there people say what they want.
MAX_CHARACTERS = 4096
BEGINNING_CHARACTERS = 1024
MAX_WORD_BYTES = 32
CHARACTER_SIZES = (3, 4, 5)
PHRASE_SIZES = (2, 3)
EMAIL, LINK, FOREIGN = "@email", "@link", "@foreign"
# one number for each length that customers' numbers have: amounts, years, order numbers
SHORT, MEDIUM, LONG = "#1", "#3", "#5"
MAX_SHORT, MAX_MEDIUM = 2, 4

_WORDS = re.compile(r"[a-z\x80-\U0010ffff]+|[0-9]+")
_REPEATED = re.compile(r"([^0-9])\1{2,}")
_APOSTROPHES = str.maketrans(
    "", "", "'`\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
)
_WORD, _CHARACTERS, _PHRASE = 1, 2, 3  # where each kind of n-gram begins to be hashed


def split_words(text: str) -> list[str]:
    """The words of a text as they are read: no case, accents, apostrophes or punctuation.

    A number, an address or a link becomes one word for all of its kind, and a letter that is
    repeated stands twice.
    """
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:BEGINNING_CHARACTERS]} {text[BEGINNING_CHARACTERS - MAX_CHARACTERS :]}"
    words: list[str] = []
    for part in _fold(text).split():
        if "@" in part[1:-1]:
            words.append(EMAIL)
        elif part.startswith(("http:", "https:", "www.")):
            words.append(LINK)
        else:
            words += map(_mask_number, _WORDS.findall(part))
    return words


def _fold(text: str) -> str:
    text = text.translate(_APOSTROPHES)
    if not text.isascii():
        text = "".join(map(_fold_character, ucd_3_2_0.normalize("NFKD", text)))
    return _REPEATED.sub(r"\1\1", text.lower())


@lru_cache(1024)
def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    category = ucd_3_2_0.category(character)
    if category.startswith("L"):
        return character
    if category == "Nd":
        return str(ucd_3_2_0.digit(character))
    return "" if category.startswith("M") else " "


def _mask_number(word: str) -> str:
    if word[0] > "9":
        return word
    return SHORT if len(word) <= MAX_SHORT else MEDIUM if len(word) <= MAX_MEDIUM else LONG


def hash_word(word: str) -> list[int]:
    """32-bit numbers of a word and of the runs of characters in it, its ends marked."""
    name = word.encode("utf-8", "replace")[:MAX_WORD_BYTES]
    found = [crc32(name, _WORD)]
    if word[0] in "#@":  # stands for many others: its letters say nothing
        return found
    if not word.isascii():
        found.append(crc32(FOREIGN.encode(), _WORD))
    name = b"<%b>" % name
    found += [
        crc32(name[start : start + size], _CHARACTERS)
        for size in CHARACTER_SIZES
        for start in range(len(name) - size + 1)
    ]
    return found


def hash_phrases(words: list[str]) -> list[int]:
    """32-bit numbers of the pairs and triples of words that stand side by side."""
    names = [word.encode("utf-8", "replace")[:MAX_WORD_BYTES] for word in words]
    return [
        crc32(b" ".join(names[start : start + size]), _PHRASE)
        for size in PHRASE_SIZES
        for start in range(len(names) - size + 1)
    ]

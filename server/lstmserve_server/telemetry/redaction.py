"""People's words, made fit for a log: short, on one line, without what identifies anybody.

Best effort: patterns find what is written in the usual ways. A name, an address or a number in
words is not found. The libraries for this bring language models many times the size of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lstmserve_server.auth.tokens import PREFIX as TOKEN_PREFIX

MAX_SHOWN = 500  # characters
MAX_READ = 1_000  # characters: what is longer costs no more
# what the end of a text that was cut may be a piece of, and so is not recognized by
MAX_ITEM = 300
ELLIPSIS = "…"

MIN_KEY = 24  # characters
_KEY_MARKS = ".+/=-"  # in keys, beside letters and digits
MIN_IBAN_DIGITS = 8  # fewer: words after something like "NR15"
CARD_DIGITS = range(13, 20)  # ISO/IEC 7812

_KEY_WORDS = (
    r"pass(?:word|wort|code|phrase)|passwd|pwd|pin|cvv|cvc|secret|token|"
    r"(?:api|access|private)[ _-]?key|authorization|auth"
)


def redact(text: str) -> str:
    """At most 500 printable characters of a text, without what the patterns find."""
    shown = text[:MAX_READ]
    for pattern, replacement in PATTERNS:
        shown = pattern.sub(replacement, shown)
    if len(text) > MAX_READ:
        shown = shown[:-MAX_ITEM]
    # a terminal obeys control characters, and a line break would begin another line
    shown = "".join(letter if letter.isprintable() else " " for letter in shown)
    is_whole = len(shown) <= MAX_SHOWN and len(text) <= MAX_READ
    return shown if is_whole else shown[: MAX_SHOWN - len(ELLIPSIS)] + ELLIPSIS


def _name_key(found: re.Match[str]) -> str:
    """A key or a token is long, begins with a letter or a digit, and mixes them."""
    text = found[0]
    key = text.lstrip(_KEY_MARKS)
    is_mixed = any(map(str.isdigit, key)) and re.search("[A-Za-z]", key) is not None
    is_key = len(key) >= MIN_KEY and is_mixed
    return text[: len(text) - len(key)] + "[secret]" if is_key else text


def _name_account(found: re.Match[str]) -> str:
    return "[iban]" if _count_digits(found[0]) >= MIN_IBAN_DIGITS else found[0]


def _name_number(found: re.Match[str]) -> str:
    """What so many digits in groups probably are."""
    text = found[0]
    if _count_digits(text) in CARD_DIGITS and text[0].isdigit():
        return "[card]"
    return "[number]" if text.isdigit() else "[phone]"


def _count_digits(text: str) -> int:
    return sum(map(str.isdigit, text))


# in this order: each finds what those before it have left; none goes back far, so that no
# text takes long
PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # https://user:password@host
    (re.compile(r"(?<=://)[^\s/?#@]{1,200}@"), "[credentials]@"),
    # a token of this server's callers, or what is left of one
    (re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{12,}}"), "[secret]"),
    # password: hunter2, ?token=abc, my pin is 1234
    (
        re.compile(
            rf"\b({_KEY_WORDS})(['\"]?\s{{0,3}}(?:[:=]|\bis\b)\s{{0,3}}['\"]?(?:bearer\s)?)"
            r"[^\s&'\",;]{1,300}",
            re.IGNORECASE,
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"\b(bearer|basic)\s{1,3}[^\s'\",;]{8,300}", re.IGNORECASE), r"\1 [secret]"),
    (re.compile(r"[^\s@<>()\[\]\"',:;]{1,64}@[^\s@<>()\[\]\"',:;]{1,190}\.\w{2,24}"), "[email]"),
    # keys and tokens: long, and with letters and digits mixed
    (re.compile(rf"[\w{_KEY_MARKS}]{{{MIN_KEY},}}"), _name_key),
    (
        re.compile(
            r"\b(?:[A-Z]{2}\d{2}(?:[\s-]?[A-Z0-9]{2,4}){3,9}"
            r"|[a-z]{2}\d{2}(?:[\s-]?[a-z0-9]{2,4}){3,9})\b"
        ),
        _name_account,
    ),
    (re.compile(r"[+(]{0,2}\d(?:[\s().\-/\u2010-\u2015]{0,3}\d){5,}"), _name_number),
)

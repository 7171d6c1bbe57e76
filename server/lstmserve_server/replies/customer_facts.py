"""What customers have typed about themselves: their order's number, their e-mail address.

The latest one counts. Takes time that grows with the text alone. Nothing here is kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+")
LINK = re.compile(r"(?:https?://|www\.)\S++", re.IGNORECASE)
# runs of letters and digits, perhaps joined: 48213, ORD-20931, 113-45-67, WEB_7/22
RUN = re.compile(r"[A-Za-z0-9]++(?:[-_/][A-Za-z0-9]++)*+")
MAX_RUNS = 64  # with digits in them, the last ones of a text
LOOK_BACK = 40  # characters before a number that say what it is
# what follows one of these words is the order's number, however short
ORDER_WORDS = re.compile(
    r"(?:\b(?:orders?|purchase|reference|ref|invoice|booking|confirmation|ticket|case|parcel|package"
    r"|shipment|tracking|receipt)\b[^\n?!\d]{0,24}"
    r"|\b(?:it|its|that|this|number|num|no|nr|id)\b[^\n?!\d]{0,8}|[#№]\s*)\Z",
    re.IGNORECASE,
)
OTHER_WORDS = re.compile(
    r"\b(?:phones?|tel|telephone|mobile|cell|call|ring|text|whatsapp|zip|postcode|postal code|pin"
    r"|card|account|year|since)\b[^\n?!\d]{0,24}\Z",
    re.IGNORECASE,
)
DATE = re.compile(r"\d{1,4}([-/])\d{1,2}\1\d{1,4}|\d{1,2}/\d{1,4}")
YEAR = re.compile(r"(?:19|20)\d\d")
# 3rd, 10am, 24h, 5kg, 2x
AMOUNT = re.compile(
    r"\d+(?:st|nd|rd|th|am|pm|h|hrs?|min|days?|x|kg|g|ml|l|cm|mm|m|w|v|eur|usd|gbp)", re.IGNORECASE
)
CURRENCY = re.compile(r"\s*(?:%|€|\$|£|(?:euros?|dollars?|pounds?|bucks|percent)\b)", re.IGNORECASE)
# 48 213 77 or 77412 A, where nothing else follows
GROUPS = re.compile(
    r"(?: \d{2,4}){1,4}(?=\s*(?:[.,;!?)]|\Z))| [A-HJ-Za-hj-z](?=\s*(?:[.,;!?)]|\Z))"
)
# PO 4471, as nobody would write a word
PREFIX = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,4}) \Z")
NO_PREFIX = frozenset(
    ("I", "ID", "NO", "NR", "OK", "IS", "MY", "THE", "NUM", "REF", "USD", "EUR", "GBP", "UK", "US")
)
# short ones that count nothing: 512, XK7P, and whoever says so or not: DE-22-KX
CODE = re.compile(r"\d{3}|(?=.{4})[A-Z]*\d[A-Z\d]*")
JOINED_CODE = re.compile(r"(?=.*\d.*\d)(?=.*[A-Z])[A-Z\d]+(?:[-_/][A-Z\d]+)+")
# a number of few digits is the order's only where no word says what it counts
ALONE = re.compile(r"\s*(?:[.,;:!?)…]|\Z)")
# order-48213, no48213
WORD_BEFORE = re.compile(r"(?:orders?|number|num|no|nr|id|ref)[-_]?(?=\d)", re.IGNORECASE)
MIN_DIGITS = 4
MIN_GROUPED_DIGITS = 9  # of telephones and cards
FEW_WORDS = 3  # in a text of so few, a number is what was asked for


@dataclass(frozen=True, slots=True)
class _Number:
    """What may be an order's number; ``is_named`` if the customer says that it is."""

    text: str
    is_named: bool


def find_email(texts: Sequence[str]) -> str | None:
    """Return the last e-mail address in the texts, oldest first."""
    found = (addresses[-1] for text in reversed(texts) if (addresses := EMAIL.findall(text)))
    return next(found, None)


def find_order_number(texts: Sequence[str]) -> str | None:
    """Return the last number that is said to be the order's, or else the last that may be one.

    Amounts, dates, years, telephone numbers and numbers of few digits are none.
    """
    plain = None
    for text in reversed(texts):
        for number in reversed([*_numbers_in(text)]):
            if number.is_named:
                return number.text
            plain = plain or number.text
    return plain


def _numbers_in(text: str) -> Iterator[_Number]:
    text = EMAIL.sub(" ", LINK.sub(" ", text))
    runs = (run for run in RUN.finditer(text) if any(map(str.isdigit, run[0])))
    is_short = len(text.split()) <= FEW_WORDS
    for run in deque(runs, maxlen=MAX_RUNS):
        before = text[max(0, run.start() - LOOK_BACK) : run.start()]
        if _is_part(text, run, before):
            continue
        order, other = ORDER_WORDS.search(before), OTHER_WORDS.search(before)
        # of two words the nearer one says what it is
        is_named = order is not None and (other is None or order.start() > other.start())
        if not is_named and (other is not None or _is_grouped(text, run, before)):
            continue
        number = _whole(text, run, before)
        if sum(map(str.isdigit, number)) >= MIN_DIGITS:
            if is_named or not YEAR.fullmatch(number):
                yield _Number(number, is_named or is_short)
        elif JOINED_CODE.fullmatch(number) or (
            is_named and (CODE.fullmatch(number) or ALONE.match(text, run.end()))
        ):
            yield _Number(number, is_named or is_short)


def _is_part(text: str, run: re.Match[str], before: str) -> bool:
    """Return whether a run with digits is an amount, a date, a time, or a part of something."""
    last, after = before[-1:], text[run.end() : run.end() + 2]
    goes_on = after[:1] in {".", ",", ":"} and after[1:].isdigit()
    comes_from = last in {".", ",", ":"} and before[-2:-1].isdigit()
    return bool(
        last in {"@", "/", "$", "£", "€", "+", "-", "_"}
        or after[:1] in {"@", "/"}
        or goes_on
        or comes_from
        or DATE.fullmatch(run[0])
        or AMOUNT.fullmatch(run[0])
        or CURRENCY.match(text, run.end())
    )


def _is_grouped(text: str, run: re.Match[str], before: str) -> bool:
    """Return whether it is a group of a telephone's or a card's digits."""
    around = re.search(r"[\d() ]*\Z", before)[0] + run[0]  # type: ignore[index]  # it may be empty
    around += re.match(r"[\d() ]*", text[run.end() : run.end() + LOOK_BACK])[0]  # type: ignore[index]
    groups = around.split()
    num_digits = sum(map(str.isdigit, around))
    return len(groups) > 1 and num_digits >= MIN_GROUPED_DIGITS


def _whole(text: str, run: re.Match[str], before: str) -> str:
    """Return a number with what belongs to it across spaces."""
    if not run[0].isdigit():
        return WORD_BEFORE.sub("", run[0], count=1)
    rest, prefix = GROUPS.match(text, run.end()), PREFIX.search(before)
    has_prefix = prefix is not None and prefix[1] not in NO_PREFIX and not text.isupper()
    start = f"{prefix[1]} " if has_prefix and prefix is not None else ""
    return f"{start}{run[0]}{rest[0] if rest is not None else ''}"


FINDERS: Mapping[str, Callable[[Sequence[str]], str | None]] = {
    "email": find_email,
    "order_number": find_order_number,
}


def find_fact(kind: str, texts: Sequence[str]) -> str | None:
    """Return what was last typed of a kind in the user's texts, oldest first."""
    find = FINDERS.get(kind)
    return None if find is None else find(texts)

"""How surely each number in what a customer typed is an order's.

The words next to a number go before its shape: "order number 12-05-2024" is one, "12-05-2024" is a
date. What nothing speaks for needs ``MIN_DIGITS``, and that no noun follows which it may count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum

from lstmserve_server.replies.order_numbers import naming, other, shapes
from lstmserve_server.replies.order_numbers.places import Place, find_places

FEW_WORDS = 3  # in a text of so few, a number is what was asked for
MIN_DIGITS = 4


class Asked(Enum):
    """What the agent has asked for last."""

    NOTHING = 0
    ORDER = 1
    OTHER = 2


class Rank(IntEnum):
    """How surely a number is the order's."""

    PLAIN = 1  # it may be one
    LABELED = 2  # "the number is 48213", or it was asked for
    NAMED = 3  # "order 48213", or a correction of one


@dataclass(frozen=True, slots=True)
class Number:
    """What may be an order's number."""

    text: str
    rank: Rank


def numbers_in(text: str, asked: Asked, *, is_known: bool) -> list[Number]:
    """Return the numbers that may be the order's, in their order.

    ``is_known``: an order's number has been named before, so a correction is one of it.
    """
    numbers, is_short = list[Number](), len(text.split(maxsplit=FEW_WORDS)) <= FEW_WORDS
    for place in find_places(text):
        is_known = is_known or any(number.rank > Rank.PLAIN for number in numbers)
        rank = _rank_of_named(place, is_known=is_known)
        if rank is None and not _is_something_else(place):
            # the first one answers the agent, the others are something else
            asked_now = Asked.NOTHING if asked is Asked.ORDER and numbers else asked
            rank = _rank_of_unnamed(place, asked_now, is_known=is_known)
        if rank is Rank.PLAIN and is_short and not numbers:
            rank = Rank.LABELED
        if rank is not None:
            numbers.append(Number(place.number, rank))
    return numbers


def _rank_of_named(place: Place, *, is_known: bool) -> Rank | None:
    """Return a rank if the words next to a number say that it is the order's."""
    if _is_never(place):
        return None
    if _is_named(place) or naming.STATED_AFTER.match(place.after):
        return Rank.NAMED
    if _is_other(place):
        return None
    is_correction = is_known and naming.CORRECTED.search(place.before) and place.is_ended
    return Rank.NAMED if is_correction or naming.ORDER_AFTER.match(place.after) else None


def _is_something_else(place: Place) -> bool:
    return _is_never(place) or _is_other(place)


def _is_never(place: Place) -> bool:
    """Return whether a number is denied, a price or a part of something, whatever names it."""
    return bool(
        place.is_cut
        or naming.DENIED.search(place.before)
        or other.CURRENCY_AFTER.match(place.after)
        or other.CURRENCY_BEFORE.search(place.before)
    )


def _is_named(place: Place) -> bool:
    """Return whether a word for an order, or a #, stands right before the number."""
    named = naming.NAMED.search(place.before)
    if named is None:
        is_hash = naming.HASH.search(place.before) and not other.BEFORE.search(place.before)
        return bool(is_hash) and place.is_ended
    if named["label"]:
        return True
    is_next = named.end("noun") + 1 >= len(place.before)
    is_dotted = is_next and shapes.DOTTED.fullmatch(place.number) is not None
    is_amount = shapes.is_amount(place.number) and not is_dotted
    if is_amount or shapes.DATE.fullmatch(place.number) or other.ORDERING.search(place.before):
        return False
    is_long = place.num_digits >= MIN_DIGITS or shapes.MIXED.fullmatch(place.number) is not None
    return place.is_ended or (is_next and is_long)


def _is_other(place: Place) -> bool:
    """Return whether the words around a number say that it is none of an order."""
    if naming.OF_ORDERS.search(place.before):
        return False
    noun, order = other.BEFORE.search(place.before), naming.NEAR.search(place.before)
    # of two words the nearer one says what it is
    is_of_noun = noun is not None and (order is None or noun.start() >= order.start())
    signs = (other.COUNTING, other.ORDERING, other.MONTH_BEFORE, other.AREA_BEFORE)
    return bool(
        is_of_noun
        or any(sign.search(place.before) for sign in signs)
        or (other.ON.search(place.before) and shapes.is_date(place.number))
        or other.AFTER.match(place.after)
        or other.MONTH_AFTER.match(place.after)
    )


def _rank_of_unnamed(place: Place, asked: Asked, *, is_known: bool) -> Rank | None:
    """Return the rank of a number that no word for an order stands next to."""
    if asked is Asked.ORDER and place.is_ended and not shapes.is_amount(place.number):
        return Rank.LABELED
    is_code = shapes.CODE.fullmatch(place.number) is not None
    is_counting = not (is_code or place.is_ended)
    if asked is Asked.OTHER or is_counting or shapes.is_other(place.number, place.after):
        return None
    rank = _rank_by_text(place, is_code=is_code)
    is_correction = is_known and naming.MISTAKEN.search(place.before)
    return Rank.NAMED if rank is not None and is_correction else rank


def _rank_by_text(place: Place, *, is_code: bool) -> Rank | None:
    labeled = naming.LABELED.search(place.before)
    if labeled is not None and _is_labeled(place, labeled):
        return Rank.LABELED
    is_place = other.PLACE.search(place.before) or shapes.STATE.fullmatch(place.number)
    if is_place or not (is_code or place.num_digits >= MIN_DIGITS):
        return None
    if naming.NEAR.search(place.before):
        return Rank.LABELED
    return None if other.ARTICLE.search(place.before) else Rank.PLAIN


def _is_labeled(place: Place, labeled: re.Match[str]) -> bool:
    if naming.MY_NUMBER.search(place.before) and shapes.may_be_phone(place.number):
        return False
    if place.num_digits >= MIN_DIGITS or shapes.LABELED_CODE.fullmatch(place.number):
        return True
    return labeled["label"] is not None and naming.IS.search(place.before) is not None

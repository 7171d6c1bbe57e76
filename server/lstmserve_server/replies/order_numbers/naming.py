r"""The words by which a number is called an order's.

Patterns that end in ``\Z`` are searched in the window before a number, the others in the one
behind it: a few dozen characters, so none can take long.
"""

from __future__ import annotations

import re

FLAGS = re.IGNORECASE | re.VERBOSE


def any_of(words: str) -> str:
    """Return the pattern of any of the words; ``_`` stands for a space within one."""
    return "(?:" + "|".join(words.replace("_", r"\ ") for words in words.split()) + ")"


ORDER = any_of(
    r"""orders? ordr ordre oder ord purchase_order purchase p\.?o\.? bookings? confirmation
    reference ref parcels? packages? shipments? delivery"""
)
LABEL = (
    r"(?:" + any_of("numbers? numb num nmbr nbr no nos nr id code reference ref") + r"\b\.?"
    r"|n[°º]|[\#№])"
)
# between the word and its number: my order, which is (I think) 48213
LINK = (
    r"(?:'s\b|"
    + any_of(
        """is was are being be as its it it's that that's this the my our number reads says called
        under would should here again i_think i_believe i_have"""
    )
    + r"\b|[=:,;(\[\"'*?._\#№…-])"
)
LINKS = rf"(?:\s*{LINK}){{0,7}}\s*"

# order 48213, order no. 48213, my order's number, 48213
NAMED = re.compile(
    rf"(?<![^\W_]) (?P<noun>{ORDER}) (?:'s)?"
    rf"(?: [\s._-]* (?P<label>{LABEL}) | (?![^\W_]) ) {LINKS}\Z",
    FLAGS,
)
# #5
HASH = re.compile(r"[#№]\s*\Z")
# the number is 48213; behind a weak word such as "it" only a long number is one
LABELED = re.compile(
    r"\b(?: (?P<label>number|num|no|nr|id)\b\.? | its|it|it's|that|that's|this|one )"
    rf"{LINKS}\Z",
    FLAGS,
)
IS = re.compile(r"(?:\b(?:is|was|be|reads|says)|[:=\#])\s*\Z", FLAGS)
MY_NUMBER = re.compile(r"\bmy\ number\b[^\n?!\d]{0,16}\Z", FLAGS)
# an order is spoken of before, with no other number between
NEAR = re.compile(rf"\b{ORDER}(?:\b|_)[^\n?!\d]{{0,40}}\Z", FLAGS)
# 48213 is my order
ORDER_AFTER = re.compile(
    rf"\s*[,)-]?\s* (?:(?:it|that|this)(?:'?s)?\s+)? (?:is|was|being|as|=)?\s*"
    rf"(?:my|our|the)\s+{ORDER}\b",
    FLAGS,
)
# 48213 for me, that's my order
STATED_AFTER = re.compile(
    rf"\s*(?:for\ (?:me|us)|please|pls)?\s*[,)-]?\s*(?:it|that|this)(?:'?s|\ is|\ was)\s+"
    rf"(?:my|our|the)\s+{ORDER}\b",
    FLAGS,
)
# status of 48213, an item from 48213
OF_ORDERS = re.compile(
    rf"\b(?: {any_of('items? parts? pieces? things? half rest one two both some')}\ (?:of|from)"
    rf"| {any_of('status state copy contents? whereabouts delivery cancellation progress')}\ of"
    rf"| {any_of('status copy news invoice receipt refund tracking updates?')}\ (?:for|on|about) )"
    r"\s*\Z",
    FLAGS,
)
# sorry, I meant 48213; no, 48213
CORRECTED = re.compile(
    r"(?:\b"
    + any_of(
        """sorry apologies correction corrected oops ups whoops typo mistake wait actually rather
        meant? should_be should_read should_say make_that make_it right_one right_number
        correct_one correct_number nope but scratch_that my_bad hold_on mistyped mixed_up misread
        wrong what_about how_about"""
    )
    + rf"\b | (?:\A|[.!?,]\s*)no, ){LINKS}\Z",
    FLAGS,
)
# sorry, I copied the wrong one: 48213
MISTAKEN = re.compile(
    r"\b"
    + any_of("sorry apologies oops whoops typo mistake wrong my_bad mistyped meant swapped misread")
    + r"\b[^\n\d]{0,40}\Z",
    FLAGS,
)
# not 48213
DENIED = re.compile(
    r"\b(?:not|isn'?t|wasn'?t|instead\ of|rather\ than|wrong)\s+(?:the\ )?(?:order\ )?"
    r"(?:number\ )?[\#\"']?\Z",
    FLAGS,
)
# in what the agent says: which order; your reference; I cannot find that order
ASKS_ORDER = re.compile(
    rf"\b(?: {ORDER}(?:'s)?\s{{0,3}}{LABEL}"
    rf"| (?:which|what)\ (?:(?:of|is)\ (?:your|the)\ )?{ORDER}\b"
    rf"| (?:your|the|a)\s(?:\w+\s)?reference\b"
    rf"| number\ of\ (?:your|the)\s{ORDER}\b )"
    rf"| (?:\bno|\bnot|n't)\ (?:find|see|locate|match)[\w\ ]{{0,16}}\b(?:{ORDER}|number)\b",
    FLAGS,
)

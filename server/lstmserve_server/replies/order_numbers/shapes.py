"""What a number is by its own shape: a date, a telephone, an amount; or a code that is none.

Every pattern is matched with one number, which is as long as what was typed at most.
"""

from __future__ import annotations

import re

_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)?\d\d"
DATE = re.compile(
    rf"(?:{_DAY}([-/.]){_MONTH}|{_MONTH}([-/.]){_DAY})(?:\1|\2){_YEAR}"
    rf"|(?:19|20)\d\d([-/.]){_MONTH}\3{_DAY}"
)
SHORT_DATE = re.compile(rf"{_DAY}/{_MONTH}|{_MONTH}/{_DAY}|{_MONTH}/(?:20)?\d\d|\d/\d|24/7")
TIME = re.compile(r"\d{1,2}:\d\d(?::\d\d)?", re.IGNORECASE)
YEAR = re.compile(r"(?:19|20)\d\d(?:[-/](?:19|20)?\d\d)?")
# 3rd, 10am, 24h, 5kg, 2x, x2, and words such as gr8
AMOUNT = re.compile(
    r"\d+(?:[.,]\d+)?(?:st|nd|rd|th|am|pm|h|hrs?|mins?|days?|x|k|kg|g|mg|ml|l|cm|mm|m|km|ft|lbs?|oz"
    r"|w|v|mah|gb|tb|mb|eur|usd|gbp)|x\d{1,3}|gr8|m8|l8r|b4|w8|2day|4u|2u",
    re.IGNORECASE,
)
# 3.5, 1,250.00, 1.250
DECIMAL = re.compile(r"\d{1,3}(?:[.,]\d{3})+(?:[.,]\d{1,2})?|\d+[.,]\d{1,2}")
DOTTED = re.compile(r"\d{1,3}(?:\.\d{3})+")
# 07911123456, 030 1234 5678, 555-123-4567, 555-1234, 0049..., and social security numbers
PHONE = re.compile(
    r"0[\d /.-]{8,18}|(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}|\d{3}[ .-]\d{4}|\d{3}-\d\d-\d{4}"
)
AREA_AFTER = re.compile(r"\)\s*\d")
CARD = re.compile(r"\d{4}(?:[ -]\d{4}){3}|\d{4} \d{6} \d{5}")
MIN_PHONE, MAX_PHONE = 10, 11  # digits in one run that may be a telephone's
# 94103-1234, SW1A 1AA, K1A 0B1, 1012 AB, IL 62704
POSTCODE = re.compile(
    r"\d{5}-\d{4}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4} [A-Z]{2}"
)
STATE = re.compile(r"[A-Z]{2} \d{5}")
# who says so or not: DE-22-KX, ORD-20931, AB12345x
CODE = re.compile(
    r"(?:ORD|PO|SO|WEB|INV)[-_/: ]?\d[A-Z\d]*(?:[-_/: ][A-Z\d]+)*"
    r"|(?=.*\d.*\d)(?=.*[A-Z])[A-Z\d]+(?:[-_/][A-Z\d]+){2,}"
)
# next to a word for an order: A1B2C3
MIXED = re.compile(r"(?=.{4})(?=.*\d.*\d)(?=.*[A-Za-z])[A-Za-z\d]+(?:[-_/:][A-Za-z\d]+)*")
# with a word that says so: XK7P2M
LABELED_CODE = re.compile(
    r"(?=.{4})(?=.*[A-Za-z])[A-Za-z\d]+(?:[-_/: ][A-Za-z\d]+)*|\d+(?:[-/]\d+)+"
)


def is_amount(number: str) -> bool:
    """Return whether a number is an amount or a time of day."""
    return any(kind.fullmatch(number) for kind in (AMOUNT, DECIMAL, TIME))


def is_date(number: str) -> bool:
    """Return whether a number is a date, a part of one or a year."""
    return any(kind.fullmatch(number) for kind in (DATE, SHORT_DATE, YEAR))


def is_other(number: str, after: str) -> bool:
    """Return whether a number that nobody calls an order's looks like something else."""
    return (
        is_amount(number)
        or is_date(number)
        or any(kind.fullmatch(number) for kind in (PHONE, CARD, POSTCODE))
        or AREA_AFTER.match(after) is not None
    )


def may_be_phone(number: str) -> bool:
    """Return whether it has as many digits as telephone numbers have."""
    return MIN_PHONE <= sum(map(str.isdigit, number)) <= MAX_PHONE

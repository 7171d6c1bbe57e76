"""Formats of a JSON schema's texts whose values every calendar, clock and library can read."""

from __future__ import annotations

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"  # RFC 3339 has a year 0, too
_OF_FOUR = "(?:0[48]|[2468][048]|[13579][26])"  # but for 00
_LEAP_YEAR = f"(?:[0-9]{{2}}{_OF_FOUR}|{_OF_FOUR}00)"
DATE = (
    rf"(?:{_YEAR}-(?:"
    r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8])"
    rf")|{_LEAP_YEAR}-02-29)"
)
# leap seconds are left out: neither Python nor JavaScript reads one
TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[zZ]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# with so many digits for each unit it stays below the 999,999,999 days of Python's timedelta
_NUMBER = "[0-9]{1,6}"
_SECONDS = f"{_NUMBER}S"
_MINUTES = f"{_NUMBER}M(?:{_SECONDS})?"
_TIMES = f"T(?:{_NUMBER}H(?:{_MINUTES})?|{_MINUTES}|{_SECONDS})"
_DAYS = f"{_NUMBER}D"
_MONTHS = f"{_NUMBER}M(?:{_DAYS})?"
_DATES = f"(?:{_NUMBER}Y(?:{_MONTHS})?|{_MONTHS}|{_DAYS})(?:{_TIMES})?"

FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}[tT]{TIME}",
    "duration": f"P(?:{_DATES}|{_TIMES}|{_NUMBER}W)",
}

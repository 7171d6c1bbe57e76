"""Replaces what a published model must not repeat: shops, brands, numbers, addresses.

Numbers and addresses are masked by the tokenizer's own normalizer, so that a prompt is
masked when it is served exactly as it was in training; names are replaced here, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lstmserve_bundle.tokenizer import EMAIL_PATTERN

NUMBER_MASK = "[number]"
EMAIL_MASK = "[email]"
LINK_MASK = "[link]"
MASKS = (NUMBER_MASK, EMAIL_MASK, LINK_MASK)

_LINK = r"(?:https?://|www\.)\S*[\w/]"
# phone-like: seven digits or more, in groups; and any plain run of five or more
_NUMBER = r"\+?\(?\d(?:[ ().-]{0,2}\d){6,}|\d{5,}"

# of the tokenizer, in this order: an address may hold digits, and a link may hold an address
MASK_PATTERNS = (
    (_LINK, LINK_MASK),
    (EMAIL_PATTERN, EMAIL_MASK),
    (_NUMBER, NUMBER_MASK),
)


def _mask_address(found: re.Match[str]) -> str:
    return EMAIL_MASK if found[1] else found[0]


# The same for Python, which has no \G: whatever may begin an address is taken as a whole, so that
# it is read once, and put back if it begins none.
_STEPS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(_LINK), LINK_MASK),
    (re.compile(r"[\w.+-]++(@[\w-]+(?:\.[\w-]+)*)?"), _mask_address),
    (re.compile(_NUMBER), NUMBER_MASK),
)

_SHOPS = r"amazon|amzn|flipkart|myntra|meesho|snapdeal|nykaa|croma|reliance digital|jiomart"
_WALLETS = r"paytm|phonepe|google pay|gpay|apple pay|paypal|(?:amazon|amzn) pay"
_BANKS = r"hdfc|icici|sbi|idbi|axis|kotak|state bank of india|state bank"
_COURIERS = r"delhivery|ekart|blue ?dart|dtdc|fedex|dhl"
_BRANDS = (
    r"samsung|apple|iphone|airpods?|macbook|oneplus|xiaomi|redmi|realme|vivo|oppo|nokia|moto(?:rola)?|"
    r"sony|bravia|lg|dell|inspiron|xps|hp|lenovo|asus|acer|nike|adidas|puma|reebok|fossil|titan|"
    r"boat|airdopes|rockerz|jbl|bose|philips|prestige|seagate|sandisk|logitech|fitbit|dyson|dior|"
    r"sauvage|chanel|lakme|levi'?s?|woodland|wildcraft|canon|nikon|kindle|alexa|galaxy|ultraboost|"
    r"whatsapp|youtube|facebook|instagram|google|mastercard|visa|rupay|ray-?bans?|dove|aashirvaad|"
    r"appario(?: retail)?|bajaj|havells|whirlpool|godrej|nikon|gopro|playstation|xbox|nintendo"
)


def _word(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_WALLET = _word(_WALLETS)
_SHOP = re.compile(
    rf"(?:\b(?:the|your) )?\b(?:{_SHOPS})(?:\.(?:in|com))?(?: india| prime)?\b", re.IGNORECASE
)
_BANK = re.compile(rf"\b(?:{_BANKS})(?: bank)?\b", re.IGNORECASE)
_COURIER = _word(_COURIERS)
# "a Samsung phone" becomes "a phone"; a brand that stands alone becomes "device"
_BRAND_BEFORE_NOUN = re.compile(rf"\b(?:(an?) )?(?:(?:{_BRANDS})(?:'s)? )+(?=[a-z])", re.IGNORECASE)
_BRAND = re.compile(rf"\b(?:an (?=\w))?(?:{_BRANDS})\b", re.IGNORECASE)


def replace_names(text: str) -> str:
    """``text`` without the names of shops, wallets, banks, couriers and brands."""
    text = _WALLET.sub("wallet app", text)
    text = _SHOP.sub("our store", text)
    text = _BANK.sub("bank", text)
    text = _COURIER.sub("courier", text)
    text = _BRAND_BEFORE_NOUN.sub(lambda match: "a " if match[1] else "", text)
    return _BRAND.sub("device", text)


def mask(text: str) -> str:
    """``text`` with numbers, e-mail addresses and links masked, as the tokenizer does it."""
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    return text


def clean(text: str) -> str:
    """One line of publishable text."""
    return " ".join(mask(replace_names(text)).split())

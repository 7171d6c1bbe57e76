"""What the tokenizer writes instead of numbers, addresses and links, where a recipe asks for it.

The tokenizer's own normalizer does it, so a prompt is masked when it is served exactly as it was
in training.
"""

from __future__ import annotations

from lstmserve_bundle.tokenizer import EMAIL_PATTERN

# phone-like: seven digits or more, in groups; and any plain run of five or more
_NUMBER = r"\+?\(?\d(?:[ ().-]{0,2}\d){6,}|\d{5,}"
_LINK = r"(?:https?://|www\.)\S*[\w/]"

# by the name in a recipe; in this order: an address may hold digits, and a link an address
MASKS = {
    "links": (_LINK, "[link]"),
    "emails": (EMAIL_PATTERN, "[email]"),
    "numbers": (_NUMBER, "[number]"),
}

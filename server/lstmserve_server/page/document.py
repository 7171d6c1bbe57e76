"""The page itself: one file with everything in it, and the policy that lets it do no more."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from lstmserve_server.page.answer import Answer

POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def load_document() -> Answer:
    """The file, with a policy that allows the script and the style that stand in it, by hash."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    policy = POLICY.format(script=_hash_of("script", text), style=_hash_of("style", text))
    return Answer("text/html; charset=utf-8", [text.encode()], policy=policy)


def _hash_of(tag: str, text: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

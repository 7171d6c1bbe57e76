"""What a caller asks a reply to be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version

import msgspec

# raise it whenever the same form comes to allow other tokens; another release of a library may
# read a pattern or a grammar otherwise
SCHEMA = "lstmserve form 2"
LIBRARIES = tuple(f"{name} {version(name)}" for name in ("outlines-core", "llguidance"))
DIGEST_BYTES = 32


@dataclass(frozen=True)
class FormSpec:
    """Texts that match a regular expression as a whole, or else are one of some, or else keep a
    JSON schema or a grammar.
    """

    regex: str | None = None
    choices: tuple[str, ...] = ()  # their order decides nothing
    json_schema: str | None = None
    grammar: str | None = None
    prefix: str = ""  # that such a text begins with before the reply

    @cached_property
    def digest(self) -> bytes:
        """Name it, within a version: forms of one digest allow the same."""
        kinds = (self.regex, sorted(set(self.choices)), self.json_schema, self.grammar)
        facts = (SCHEMA, LIBRARIES, *kinds, self.prefix)
        return blake2b(msgspec.msgpack.encode(facts), digest_size=DIGEST_BYTES).digest()

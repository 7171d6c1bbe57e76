"""What a caller asks a reply to be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version

import msgspec

# raise it whenever the same form comes to allow other tokens; another release of the library may
# read a pattern otherwise
SCHEMA = "lstmserve form 1"
LIBRARY = f"outlines-core {version('outlines-core')}"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class FormSpec:
    """Texts that match a regular expression as a whole, or else are one of some."""

    regex: str | None = None
    choices: tuple[str, ...] = ()  # their order decides nothing

    @cached_property
    def digest(self) -> bytes:
        """Name it, within a version: forms of one digest allow the same."""
        facts = (SCHEMA, LIBRARY, self.regex, sorted(set(self.choices)))
        return blake2b(msgspec.msgpack.encode(facts), digest_size=DIGEST_BYTES).digest()

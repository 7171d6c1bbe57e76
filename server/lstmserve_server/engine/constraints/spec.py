"""What a caller asks a reply to be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from importlib.metadata import version

import msgspec

from lstmserve_bundle import NamedForm

# raise it whenever the same form comes to allow other tokens; another release of the library may
# read a pattern otherwise
SCHEMA = "lstmserve form 1"
LIBRARY = f"outlines-core {version('outlines-core')}"
DIGEST_BYTES = 32
MAX_SPECS = 256


@dataclass(frozen=True)
class FormSpec:
    """Texts that match a regular expression as a whole, or else are one of some."""

    regex: str | None = None
    choices: tuple[str, ...] = ()  # their order decides nothing
    classes: tuple[tuple[str, str], ...] = ()  # name and characters of those the regex refers to
    is_with_prompt: bool = False  # whether prompt and reply together must satisfy it

    @classmethod
    def of(cls, form: NamedForm) -> FormSpec:
        """Return what a form of a version asks for."""
        classes = tuple(sorted(form.classes.items()))
        return _keep(cls(form.regex, tuple(form.choices or ()), classes, form.with_prompt))

    @cached_property
    def digest(self) -> bytes:
        """Name it, within a version: forms of one digest allow the same."""
        facts = (
            SCHEMA,
            LIBRARY,
            self.regex,
            sorted(set(self.choices)),
            *([self.classes] if self.classes else ()),
            *(["with prompt"] if self.is_with_prompt else ()),
        )
        return blake2b(msgspec.msgpack.encode(facts), digest_size=DIGEST_BYTES).digest()


@lru_cache(maxsize=MAX_SPECS)
def _keep(spec: FormSpec) -> FormSpec:
    """Return the first that is the same: the digest of large classes is taken once."""
    return spec

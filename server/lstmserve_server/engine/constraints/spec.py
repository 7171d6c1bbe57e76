"""What a caller asks a reply to be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from importlib.metadata import version

import msgspec

from lstmserve_bundle import NamedForm

# raise it whenever the same form comes to allow other tokens; another release of a library may
# read a pattern or a grammar otherwise
SCHEMA = "lstmserve form 6"
LIBRARIES = tuple(f"{name} {version(name)}" for name in ("outlines-core", "llguidance"))
DIGEST_BYTES = 32
MAX_SPECS = 256


@dataclass(frozen=True)
class FormSpec:
    """Texts that keep what is set: one of regex, choices, json_schema and grammar."""

    regex: str | None = None  # that they match as a whole
    choices: tuple[str, ...] = ()  # their order decides nothing
    classes: tuple[tuple[str, str], ...] = ()  # name and characters of those the regex refers to
    json_schema: str | None = None
    grammar: str | None = None
    prefix: str = ""  # that the texts of a schema or grammar begin with before the reply

    @classmethod
    def of(cls, form: NamedForm, prefix: str = "") -> FormSpec:
        """Return what a form of a version asks for, of a reply that goes on with a prefix."""
        classes = tuple(sorted(form.classes.items()))
        schema = None if form.json_schema is None else json.dumps(form.json_schema)
        spec = cls(form.regex, tuple(form.choices or ()), classes, schema, form.grammar, prefix)
        return _keep(spec)

    @property
    def is_regular(self) -> bool:
        """Whether an automaton reads it."""
        return self.json_schema is None and self.grammar is None

    @cached_property
    def digest(self) -> bytes:
        """Name it, within a version: forms of one digest allow the same."""
        kinds = (self.regex, sorted(set(self.choices)), self.json_schema, self.grammar)
        facts = (SCHEMA, LIBRARIES, *kinds, self.classes, self.prefix)
        return blake2b(msgspec.msgpack.encode(facts), digest_size=DIGEST_BYTES).digest()


@lru_cache(maxsize=MAX_SPECS)
def _keep(spec: FormSpec) -> FormSpec:
    """Return the first that is the same: the digest of large classes is taken once."""
    return spec

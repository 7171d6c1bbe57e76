"""Principals with tokens, and the file that a server knows them by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lstmserve_server.auth.tokens import hash_token, make_token, show_hash

Metadata = tuple[tuple[str, str], ...]


@dataclass
class Callers:
    """What stands in a callers' file, which is written anew with every change."""

    path: Path
    tokens: dict[str, str] = field(default_factory=dict)  # the first of each principal
    entries: dict[str, dict[str, object]] = field(default_factory=dict)
    anonymous: Sequence[str] = ()  # the scopes of who proves nothing

    def add(self, name: str, *scopes: str, **keys: object) -> str:
        """A principal with a token of its own, which comes back."""
        token = self.tokens[name] = make_token()
        hashes = [show_hash(hash_token(token))]
        self.entries[name] = {"name": name, "scopes": scopes, "tokens": hashes, **keys}
        self.write()
        return token

    def remove(self, name: str) -> None:
        del self.entries[name]
        self.write()

    def write(self) -> None:
        """As one should: aside, then renamed."""
        aside = self.path.with_suffix(".new")
        first = f"anonymous = {json.dumps(self.anonymous)}\n"
        aside.write_text("\n".join([first, *map(to_toml, self.entries.values())]))
        aside.replace(self.path)

    def of(self, name: str, user: str = "") -> Metadata:
        """What a principal sends along."""
        return (*bearer(self.tokens[name]), *((("x-caller-id", user),) if user else ()))


def bearer(token: str, scheme: str = "Bearer") -> Metadata:
    return (("authorization", f"{scheme} {token}"),)


def to_toml(entry: Mapping[str, object]) -> str:
    """One principal; the values of these keys look the same in JSON."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    return f"[[principals]]\n{lines}"

"""What Redis keys are called. Pure.

All keys of one lookup have their shard in braces: a cluster keeps them in one place. Names are
percent-encoded, so that none of them can hold a separator or a wildcard.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache
from urllib.parse import quote

from lstmserve_server.cache.entry_key import EntryKey, Owner, Selection

SCHEMA = 1  # of the keys and of what stands under them
# of what stands in a sketch: servers that count in another way do so under another name
SKETCH = "asked2"
MAX_DIGEST = 16  # hexadecimal digits of a version's digest
TAG = "+"  # before each tag of an entry
WILDCARDS = "\\*?[]^-"


class KeyNames:
    """The names of all keys with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}:{SCHEMA}"
        self.purges = f"{self._prefix}:purges"

    def probe(self) -> str:
        """Return a name that nothing has, in any place of a cluster."""
        return f"{self._prefix}:probe:{secrets.token_hex(4)}"

    def entry(self, key: EntryKey) -> str:
        kind, whose, place = key.kind.value, _describe(key.owner), _place(key.shard)
        return f"{self._prefix}:{kind}:{whose}:{place}:{key.digest.hex()}"

    def lease(self, key: EntryKey) -> str:
        return f"{self._prefix}:lease:{_place(key.shard)}:{key.digest.hex()}"

    def sketches(self, key: EntryKey) -> tuple[str, str]:
        """Return the sketch that counts who asks, and the one before it."""
        prefix = f"{self._prefix}:{SKETCH}:{_place(key.shard)}"
        return f"{prefix}:now", f"{prefix}:before"

    def pattern(self, selection: Selection) -> bytes:
        """Return the glob of the selected entries; of all keys, only entries have / and @."""
        prefix = "".join(f"\\{sign}" if sign in WILDCARDS else sign for sign in self._prefix)
        model, version = (
            "*" if name is None else _encode(name) for name in (selection.model, selection.version)
        )
        # digests are of one length, so that no other scope begins with one
        scope = "*" if selection.scope is None else f"{_hide(selection.scope)}*"
        tag = "" if selection.tag is None else f"{TAG}{_hide(selection.tag)}*"
        return f"{prefix}:*:{model}/{version}@*:{scope}{tag}:{{*}}:*".encode()


# encoding takes as long as the rest of a lookup's preparations
@lru_cache(maxsize=1024)
def _describe(owner: Owner) -> str:
    version = f"{_encode(owner.model)}/{_encode(owner.version)}"
    tags = "".join(f"{TAG}{_hide(tag)}" for tag in owner.tags)
    return f"{version}@{_encode(owner.digest[:MAX_DIGEST])}:{_hide(owner.scope)}{tags}"


@lru_cache(maxsize=1024)
def _place(shard: str) -> str:
    return f"{{{_encode(shard)}}}"


def _encode(name: str) -> str:
    return quote(name, safe="")


def _hide(name: str) -> str:
    """Return the digest of a caller or a tag: what it is does not stand in a key."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest() if name else "-"

"""Bearer tokens: made at random, recognized by their prefix, kept as hashes alone.

A plain hash is right for them, and would be wrong for passwords: nobody finds 256 random bits
by trying, however fast the hash is, so a slow one would cost every call and protect nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets

PREFIX = "lst_"  # by which scanners for secrets, and our own logs, find a token
NUM_BYTES = 32
# 32 bytes are 43 letters of base64url. Nothing else is ever looked up, so that the hash of a
# password that somebody has put into the file lets nobody in
TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
SCHEME = "sha256:"
HASH = re.compile(rf"{SCHEME}[0-9a-f]{{64}}")


def make_token() -> str:
    """A new one, of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(NUM_BYTES)


def hash_token(token: str) -> bytes:
    """What is kept of a token; 32 bytes."""
    return hashlib.sha256(token.encode()).digest()


def show_hash(digest: bytes) -> str:
    """A hash as it stands in the file."""
    return SCHEME + digest.hex()


def parse_hash(text: str) -> bytes:
    """The hash that stands in the file; raises ValueError, which does not repeat the text."""
    if HASH.fullmatch(text) is None:
        raise ValueError(
            f"must be {SCHEME} and 64 hexadecimal digits in lower case, as 'lstmserve-server "
            "token' prints; a token itself has no place in this file"
        )
    return bytes.fromhex(text.removeprefix(SCHEME))

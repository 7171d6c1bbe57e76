"""Text to token ids and back to bytes. Knows no roles and no templates.

Prompts are data: a special token's spelling inside a prompt is encoded as ordinary
text, so a caller cannot forge a turn marker.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tokenizers

from lstmserve_bundle.errors import TokenizerError
from lstmserve_bundle.files import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# what many callers ask, and the earlier turns of conversations, are encoded once: 1 µs, not 50
KEPT_TEXTS = 2048
MAX_KEPT_CHARACTERS = 512

# Finds an e-mail address in time that grows with the text alone: of a run of these characters that
# no "@" follows, no place but the first is tried. \G is where the last address ended.
EMAIL_PATTERN = r"(?:\G|(?<![\w.+-]))[\w.+-]++@[\w-]+(?:\.[\w-]+)*"
# Patterns of checkpoints that are published, and what finds the same in linear time.
LINEAR_PATTERNS = {r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*": EMAIL_PATTERN}


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in for each byte in a byte-level vocabulary, inverted.

    Source: GPT-2's ``bytes_to_unicode``: printable Latin-1 stands for itself, every
    other byte for the next free code point from 256 up.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {chr(byte): byte for byte in printable}
    stand_ins.update({chr(256 + n): byte for n, byte in enumerate(others)})
    return stand_ins


class Tokenizer:
    """A byte-level BPE tokenizer with a table of every token's bytes."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        backend.encode_special_tokens = True
        self._backend = backend
        self._token_bytes, self._special = _tables(backend)
        self._encode_short = lru_cache(KEPT_TEXTS)(self._encode)

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """Read ``tokenizer.json``; raises TokenizerError when it cannot be used."""
        try:
            return cls(tokenizers.Tokenizer.from_str(make_linear(decode_text(path.read_bytes()))))
        except TokenizerError:
            raise
        except Exception as error:  # the Rust side raises bare Exception
            raise TokenizerError(f"{path}: not a readable tokenizer.json: {error}") from error

    @property
    def num_tokens(self) -> int:
        return len(self._token_bytes)

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that stand for no text."""
        return self._special

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; special tokens in it lose their meaning.

        A long text leaves the interpreter to other threads meanwhile.
        """
        if len(text) <= MAX_KEPT_CHARACTERS:
            return list(self._encode_short(text))
        # unlike this one, ``encode`` keeps the interpreter to itself
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=False)
        return list(encoding.ids)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(text, add_special_tokens=False).ids)

    def special_id(self, token: str) -> int:
        """The id of a special token; raises TokenizerError when there is none."""
        token_id = self._backend.token_to_id(token)
        if token_id is None or token_id not in self._special:
            raise TokenizerError(f"tokenizer.json has no special token {token!r}")
        return int(token_id)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token adds to the text; none for a special token."""
        return self._token_bytes[token_id]

    def all_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each token adds to the text, by token."""
        return tuple(self._token_bytes)

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of a whole sequence; broken UTF-8 becomes U+FFFD."""
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")


def make_linear(text: str) -> str:
    """A ``tokenizer.json`` that gives the same ids, without the patterns known to be slow.

    Raises ValueError for what is not JSON.
    """
    document = json.loads(text)
    found = [node for node in _replacements(document) if node.get("Regex") in LINEAR_PATTERNS]
    for node in found:
        node["Regex"] = LINEAR_PATTERNS[node["Regex"]]
    return json.dumps(document) if found else text


def _replacements(document: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of JSON
    """The patterns of a document's normalizer, which may be a list of normalizers."""
    normalizer = document.get("normalizer") if isinstance(document, dict) else None
    listed = normalizer.get("normalizers", [normalizer]) if isinstance(normalizer, dict) else []
    patterns = [each.get("pattern") for each in listed if isinstance(each, dict)]
    return [pattern for pattern in patterns if isinstance(pattern, dict)]


def _tables(backend: tokenizers.Tokenizer) -> tuple[list[bytes], frozenset[int]]:
    """Bytes of every token id, and which ids are special."""
    added = backend.get_added_tokens_decoder()
    alphabet = _byte_level_alphabet()
    table = []
    for token_id in range(backend.get_vocab_size(with_added_tokens=True)):
        token = backend.id_to_token(token_id)
        if token is None:
            raise TokenizerError(f"tokenizer.json leaves id {token_id} without a token")
        if token_id in added:
            table.append(b"" if added[token_id].special else token.encode())
            continue
        try:
            table.append(bytes(alphabet[letter] for letter in token))
        except KeyError:
            raise TokenizerError(
                f"tokenizer.json: token {token_id} {token!r} is not byte-level"
            ) from None
    return table, frozenset(i for i, token in added.items() if token.special)

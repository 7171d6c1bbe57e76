"""A grammar as the server's process knows it, without the library that parses."""

from __future__ import annotations

import msgspec

from lstmserve_server.errors import FormTooComplexError

TAUGHT_BYTES = 1 << 20  # about what an engine keeps of a grammar, with the states of its lexer


class Grammar(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A grammar, and where in it a reply begins."""

    text: str  # Lark's syntax, as the library extends it
    prefix: bytes  # what stands before the reply in the text that is to keep it
    completion: tuple[int, ...]  # a short reply that keeps it, the end token not counted
    is_searched: bool = False  # whether completions are better searched than walked to

    @property
    def shortest(self) -> int:
        """The fewest tokens that are known to satisfy it."""
        return len(self.completion)

    @property
    def num_bytes(self) -> int:
        """The memory that it takes in the server's process."""
        return len(self.text) + len(self.prefix) + 8 * len(self.completion)

    @property
    def taught_bytes(self) -> int:
        """The memory that an engine takes for it."""
        return TAUGHT_BYTES + self.num_bytes


class GrammarError(Exception):
    """What the library says of a grammar, or of a text under it; one line."""


def too_complex(error: GrammarError) -> FormTooComplexError:
    """Return what the caller of a reply is told that cannot go on."""
    return FormTooComplexError(
        f"the constraint takes more work than is done for one reply ({error}); cut the reply "
        "shorter (stopping.max_tokens), or make the constraint simpler"
    )

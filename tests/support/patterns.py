"""Regular expressions that mean the same to Python and to the library that builds automata."""

from __future__ import annotations

import re

from hypothesis import strategies as st

LETTERS = "abcé日👍"
# Python's \d, \w and \s know other characters than the library's, which follow Unicode
ATOMS = (*LETTERS, ".", "[ab]", "[^a]", "[a-cé]", "[^\\n日]", "\\.", "x|", "(?:)")


def _repeat(pattern: str, least: int, more: int | None) -> str:
    most = "" if more is None else str(least + more)
    return f"(?:{pattern}){{{least},{most}}}"


patterns = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda pattern: f"(?:{pattern})*"),
        inner.map(lambda pattern: f"(?:{pattern})+?"),
        inner.map(lambda pattern: f"(?:{pattern})?"),
        st.builds(_repeat, inner, st.integers(0, 3), st.none() | st.integers(0, 3)),
    ),
    max_leaves=6,
)
texts = st.text(LETTERS + "\n.x", max_size=8)


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches, as Python sees it."""
    return re.fullmatch(pattern, text) is not None

"""States after prompts' beginnings: the next turn of a conversation prefills its new tokens only.

An LSTM's state is a small row after any number of tokens, so one is kept where the reply starts,
which is where the next turn's prompt goes on, and every so many tokens. It is a function of the
tokens alone: going on from it gives the same bits as a prefill from the start.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise

import msgspec

from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner
from lstmserve_server.cache.stores import Codec, Tiers
from lstmserve_server.engine.prefix import KnownState, PromptStates
from lstmserve_server.engine.request import REVISION

# of what a state is made of: servers that make it of other bytes read none of these
SCHEMA = "lstmserve state 2"
DIGEST_BYTES = 32
WORD = "I"  # 32 bits, little-endian on all that AVX2 runs on
# the first turn's marker and a token: what all beginnings of one prompt have in common
SHARD_TOKENS = 2
# of a prompt's beginnings the longest ones; each is a key of one lookup
MOST_PREFIXES = 32

STATES: Codec[bytes] = Codec(encode=bytes, decode=bytes)

Keep = Callable[[int, bytes], None]


class PrefixStates:
    """Finds the longest known beginning of a prompt, and keeps further ones."""

    def __init__(self, tiers: Tiers[bytes], stride_tokens: int) -> None:
        self._tiers = tiers
        self._stride_tokens = stride_tokens

    async def prepare(
        self,
        owner: Owner,
        prompt_ids: Sequence[int],
        reply_starts: Sequence[int],
        state_bytes: int,
        *,
        is_far_asked: bool = True,
    ) -> tuple[PromptStates, Keep]:
        """Return where to start a prompt's prefill, which states to give out, and what keeps them.

        Replies start after so many tokens each. A state of another size than the engine's is none.
        """
        strides = range(self._stride_tokens, len(prompt_ids), self._stride_tokens)
        lengths = sorted(n for n in {*reply_starts, *strides} if n >= SHARD_TOKENS)
        lengths = lengths[-MOST_PREFIXES:]
        keys = dict(_prefix_keys(owner, prompt_ids, lengths))
        known = await self._find(keys, lengths, is_far_asked=is_far_asked)
        if known is not None and len(known.data) != state_bytes:
            known = None  # it is written anew
        start = known.num_tokens if known else 0
        # an earlier reply's start would cost a step of the engine, and whoever had it kept it
        useful = {*reply_starts[-1:], *strides}
        wanted = tuple(length for length in lengths if length > start and length in useful)
        return PromptStates(known, wanted), lambda length, state: self._tiers.keep(
            keys[length], state
        )

    async def _find(
        self, keys: dict[int, EntryKey], lengths: Sequence[int], *, is_far_asked: bool
    ) -> KnownState | None:
        """Return the longest beginning whose state is known, here or else in Redis."""
        longest_first = lengths[::-1]
        near = self._tiers.find_first_near([keys[length] for length in longest_first])
        # not the whole prompt: who asks the same again is better answered by the reply cache
        start, end = 1, near[0] if near else len(lengths)
        missing = longest_first[start:end] if is_far_asked else []
        far = await self._tiers.find_first_far([keys[n] for n in missing])
        if far is not None:
            return KnownState(longest_first[start + far[0]], far[1])
        return KnownState(longest_first[near[0]], near[1]) if near else None


def _prefix_keys(
    owner: Owner, prompt_ids: Sequence[int], lengths: Sequence[int]
) -> Iterator[tuple[int, EntryKey]]:
    """Return the key of each beginning, in one pass over the tokens."""
    whose = (owner.model, owner.version, owner.digest, owner.scope)
    facts = (SCHEMA, REVISION, *whose, *([owner.tags] if owner.tags else ()))
    running = blake2b(msgspec.msgpack.encode(facts), digest_size=DIGEST_BYTES)
    shard = ""
    for start, end in pairwise((0, SHARD_TOKENS, *lengths)):
        running.update(array(WORD, prompt_ids[start:end]).tobytes())
        shard = shard or running.hexdigest()[:2]
        if end in lengths:
            yield end, EntryKey(Kind.STATE, owner, shard, running.digest())

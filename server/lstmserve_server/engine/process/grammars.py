"""The replies that keep grammars, and the grammars that an engine was taught."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError, too_complex
from lstmserve_server.engine.decoding.following import GrammarReply
from lstmserve_server.errors import LstmserveError, ResumeMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence as List

    from lstmserve_server.engine.constraints.growing import ReplyMaker
    from lstmserve_server.engine.scheduling.sequence import Sequence

MISMATCH = "resume_tokens: no reply that keeps the form begins with these and goes on"


class Grammars:
    """Grammars by their digests, and where each reply is in its own."""

    def __init__(self) -> None:
        self._maker: ReplyMaker | None = None
        self._known: dict[bytes, Grammar] = {}
        self._replies: dict[Sequence, GrammarReply] = {}

    def teach_tokens(self, tokens: List[bytes], end_id: int) -> None:
        """Know what the model's tokens stand for, before the first grammar."""
        # the library is loaded by engines that need it
        from lstmserve_server.engine.constraints.growing import ReplyMaker  # noqa: PLC0415

        self._maker = ReplyMaker(tokens, end_id)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def teach(self, digest: bytes, grammar: Grammar) -> None:
        """Know a grammar."""
        self._known[digest] = grammar

    def forget(self, digest: bytes) -> None:
        """Let a grammar go that no reply needs any more."""
        self._known.pop(digest, None)

    def reply_of(self, sequence: Sequence) -> GrammarReply:
        """Return where a reply is, all of whose tokens it has taken."""
        reply = self._replies.get(sequence)
        if reply is None or reply.num_tokens != len(sequence.token_ids):
            reply = self._replies[sequence] = self._make(sequence)
        return reply

    def take_places(self, sequence: Sequence) -> list[int]:
        """Return where else a reply may end before a stop sequence; nothing without a grammar."""
        reply = self._replies.get(sequence)
        return [] if reply is None else reply.take_places()

    def discard(self, sequence: Sequence) -> None:
        """Forget a reply; do nothing for one that keeps no grammar."""
        self._replies.pop(sequence, None)

    def _make(self, sequence: Sequence) -> GrammarReply:
        if self._maker is None:
            raise ValueError("a grammar before the tokens")
        request = sequence.request
        grammar = self._known[request.form_digest]
        try:
            reply = self._maker.begin(grammar, request.max_tokens, request.stop_sequences)
            if reply.follows(sequence.token_ids):
                return reply
        except GrammarError as error:
            return LostReply(too_complex(error), len(sequence.token_ids))
        return LostReply(ResumeMismatchError(MISMATCH), len(sequence.token_ids))


class LostReply:
    """A reply that cannot go on."""

    is_over = True

    def __init__(self, error: LstmserveError, num_tokens: int) -> None:
        self.error: LstmserveError | None = error
        self.num_tokens = num_tokens

    def allowed(self) -> bytes:
        """Return no token."""
        return b""

    def take(self, token_id: int) -> int:
        """Take whatever was chosen, which nobody is sent."""
        return token_id

    def take_places(self) -> list[int]:
        """Return none."""
        return []

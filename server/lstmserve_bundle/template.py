"""A prompt or a conversation as the token sequence the model was trained on.

    <|user|>question<|agent|>reply<|end|><|user|>question<|agent|>

A plain prompt is a conversation of one user turn. The sequence ends with the marker
of the replying role, so the model writes the reply next. What the model puts before
the words of its reply (an intent token) is its own business and is never rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstmserve_bundle.manifest import TemplateManifest
    from lstmserve_bundle.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; ``role`` is one of the manifest's roles."""

    role: str
    text: str


class PromptTemplate:
    """Renders turns to token ids by one model's template."""

    def __init__(self, manifest: TemplateManifest, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._role_ids = {
            role: tokenizer.special_id(token) for role, token in manifest.role_tokens.items()
        }
        self._reply_role = manifest.reply_role
        self.end_id = tokenizer.special_id(manifest.end_token)
        self.label_of_id = {
            tokenizer.special_id(token): label for token, label in manifest.labels.items()
        }

    def render_prompt(self, text: str) -> list[int]:
        """Token ids of a plain prompt, up to where the reply begins."""
        asking = next(role for role in self._role_ids if role != self._reply_role)
        return self.render_conversation([Turn(asking, text)])

    def render_conversation(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids of a conversation, up to where the next reply begins."""
        token_ids = [token_id for turn in turns for token_id in self.render_turn(turn)]
        return [*token_ids, self._role_ids[self._reply_role]]

    def render_turn(self, turn: Turn) -> list[int]:
        """Token ids of one turn; a reply is closed with the end token."""
        token_ids = [self._role_ids[turn.role], *self._tokenizer.encode(turn.text)]
        return [*token_ids, self.end_id] if turn.role == self._reply_role else token_ids

    def reply_starts(self, token_ids: Sequence[int]) -> list[int]:
        """After how many tokens of a rendered conversation each of its replies starts, ascending.

        That is where the reply role's marker stands, and the last is the reply to come. What
        continues the conversation has the same tokens up to there.
        """
        marker = self._role_ids[self._reply_role]
        return [n for n, token_id in enumerate(token_ids) if n and token_id == marker]

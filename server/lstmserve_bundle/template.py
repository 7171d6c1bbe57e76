"""A prompt or a conversation as the token sequence the model was trained on.

    <|user|>question<|agent|>reply<|end|><|user|>question<|agent|>

A plain prompt is a conversation of one user turn. The sequence ends with the marker
of the replying role, so the model writes the reply next. What the model puts before
the words of its reply (an intent token) is its own business and is never rendered.

A model without roles goes on with a text, which may be empty. Its turns are texts that stand one
after the other, each begun by the end token; the model goes on with the last:

    <|end|>text
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
        self._reply_id = self._role_ids.get(manifest.reply_role)  # None: the model has no roles
        self.end_id = tokenizer.special_id(manifest.end_token)
        self.label_of_id = {
            tokenizer.special_id(token): label for token, label in manifest.labels.items()
        }
        self.id_of_label = {label: token_id for token_id, label in self.label_of_id.items()}

    @property
    def has_roles(self) -> bool:
        """Whether the model replies to turns; otherwise it goes on with a text."""
        return self._reply_id is not None

    def render_prompt(self, text: str) -> list[int]:
        """Token ids of a plain prompt, up to where the reply begins."""
        asking = next((role for role in self._role_ids if role != self._reply_role), "")
        return self.render_conversation([Turn(asking, text)])

    def render_conversation(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids of a conversation, up to where the next reply begins."""
        token_ids = [token_id for turn in turns for token_id in self.render_turn(turn)]
        return token_ids if self._reply_id is None else [*token_ids, self._reply_id]

    def render_turn(self, turn: Turn) -> list[int]:
        """Token ids of one turn; a reply is closed with the end token."""
        words = self._tokenizer.encode(turn.text)
        if self._reply_id is None:
            return [self.end_id, *words]
        token_ids = [self._role_ids[turn.role], *words]
        return [*token_ids, self.end_id] if turn.role == self._reply_role else token_ids

    def reply_starts(self, token_ids: Sequence[int]) -> list[int]:
        """After how many tokens of a rendered conversation each of its replies starts, ascending.

        That is where the reply role's marker stands, and the last is the reply to come. What
        continues the conversation has the same tokens up to there. None where there are no roles.
        """
        return [n for n, token_id in enumerate(token_ids) if n and token_id == self._reply_id]

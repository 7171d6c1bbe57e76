"""Conversations as documents: the model's template, and what each token weighs in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lstmserve_bundle.manifest import TemplateManifest
from lstmserve_bundle.template import PromptTemplate
from lstmserve_bundle.template import Turn as TemplateTurn
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.documents import Document
from lstmserve_training.support import Chat, Turn

ROLE_TOKENS = {"user": "<|user|>", "agent": "<|agent|>"}
END_TOKEN = "<|end|>"  # noqa: S105  # a token of text, not of access

# One intent token stands against some forty reply tokens, and decides what they say.
INTENT_WEIGHT = 8.0
# A chat's first reply carries no intent token, but is hardly evidence that there is none.
FIRST_CHAT_REPLY_WEIGHT = 0.1

OpeningWeight = Callable[[Chat, Turn], float]


def intent_token(intent: str) -> str:
    return f"<|intent:{intent}|>"


def make_template(intents: Iterable[str]) -> TemplateManifest:
    labels = {intent_token(intent): f"intent:{intent}" for intent in intents}
    return TemplateManifest(
        role_tokens=ROLE_TOKENS, reply_role="agent", end_token=END_TOKEN, labels=labels
    )


def training_weight(chat: Chat, turn: Turn) -> float:
    """The loss weight of the first word of a reply that has no intent token before it."""
    if any(other.intent for other in chat):
        return 0.0  # the token was left out on purpose; the words are no alternative to it
    first_reply = next(other for other in chat if other.role == "agent")
    return FIRST_CHAT_REPLY_WEIGHT if turn is first_reply else 1.0


def evaluation_weight(_chat: Chat, _turn: Turn) -> float:
    """Held-out text is counted whole."""
    return 1.0


class Encoder:
    """Turns chats into documents by the very template the server uses."""

    def __init__(self, template: TemplateManifest, tokenizer: Tokenizer) -> None:
        self._template = PromptTemplate(template, tokenizer)
        self._tokenizer = tokenizer

    def encode(self, chat: Chat, opening_weight: OpeningWeight) -> Document:
        """Turn markers are given, never predicted: their weight is 0."""
        document = Document([], [])
        for turn in chat:
            marker, *words = self._template.render_turn(TemplateTurn(turn.role, turn.text))
            weights = [1.0] * len(words)
            if turn.intent:
                words.insert(0, self._tokenizer.special_id(intent_token(turn.intent)))
                weights.insert(0, INTENT_WEIGHT)
            elif turn.role == "agent":
                weights[0] = opening_weight(chat, turn)
            document.token_ids.extend([marker, *words])
            document.weights.extend([0.0, *weights])
        return document


def never_tokens(template: TemplateManifest, tokenizer: Tokenizer) -> list[int]:
    """The tokens that no reply may contain: turn markers, and nothing else."""
    return [tokenizer.special_id(token) for token in template.role_tokens.values()]

"""Examples as documents: the model's template, and what each token weighs in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lstmserve_bundle.manifest import TemplateManifest
from lstmserve_bundle.template import PromptTemplate
from lstmserve_bundle.template import Turn as TemplateTurn
from lstmserve_training.data.examples import AGENT, USER, Example, Turn
from lstmserve_training.documents import Document

if TYPE_CHECKING:
    from lstmserve_bundle.tokenizer import Tokenizer

ROLE_TOKENS = {USER: "<|user|>", AGENT: "<|agent|>"}
END_TOKEN = "<|end|>"  # noqa: S105  # a token of text, not of access


def label_token(name: str, label: str) -> str:
    return f"<|{name}:{label}|>"


def make_template(
    name: str, labels: Iterable[str], *, has_roles: bool, end_token: str = END_TOKEN
) -> TemplateManifest:
    """The template of a model; ``name`` says what its labels are, such as ``intent``."""
    return TemplateManifest(
        role_tokens=ROLE_TOKENS if has_roles else {},
        reply_role=AGENT if has_roles else "",
        end_token=end_token,
        labels={label_token(name, label): f"{name}:{label}" for label in labels},
    )


def special_tokens(template: TemplateManifest) -> list[str]:
    return [*template.role_tokens.values(), template.end_token, *template.labels]


class Encoder:
    """Turns examples into documents by the very template the server uses.

    ``label_weight`` is the loss weight of a label's token: one of it stands against many of text,
    and decides what they say.
    """

    def __init__(
        self, template: TemplateManifest, tokenizer: Tokenizer, name: str, label_weight: float
    ) -> None:
        self._template = PromptTemplate(template, tokenizer)
        self._tokenizer = tokenizer
        self._name = name
        self._label_weight = label_weight
        self._has_labels = bool(template.labels)
        # words that an imported vocabulary does not know are read, and never written
        self._never = frozenset(never_tokens(template, tokenizer))

    def encode(
        self, example: Example, opening_weight: float = 1.0, prompt_weight: float = 1.0
    ) -> Document:
        """Turn markers are given, never predicted: their weight is 0.

        ``opening_weight`` is that of the first word of the first reply, where it has no label;
        ``prompt_weight`` that of what the user says, where a reply has one.
        """
        if not self._template.has_roles:
            return self._encode_text(example.turns[0].text)
        document = Document([], [])
        for turn in example.turns:
            marker, *words = self._template.render_turn(TemplateTurn(turn.role, turn.text))
            weights = [_word_weight(example, turn, prompt_weight)] * len(words)
            if turn.label:
                words.insert(0, self._tokenizer.special_id(label_token(self._name, turn.label)))
                weights.insert(0, self._label_weight)
            elif turn.role == AGENT and self._has_labels and not example.label:
                weights[0] = _first_word_weight(example, turn, opening_weight)
            document.token_ids.extend([marker, *words])
            document.weights.extend([0.0, *weights])
        return document

    def encode_windows(self, example: Example, window: int) -> Iterator[Document]:
        """A running text in documents of at most ``window`` tokens, cut after lines if possible.

        None of them ends: what a book is cut into goes on.
        """
        start = 0
        whole = self._encode_text(example.turns[0].text)
        first, words = whole.token_ids[0], whole.token_ids[1:-1]
        while start < len(words):
            end = start + window - 1
            if end < len(words):
                end = self._after_line(words, start, end)
            weights = whole.weights[1 + start : 1 + min(end, len(words))]
            yield Document([first, *words[start:end]], [0.0, *weights])
            start = end

    def _encode_text(self, text: str) -> Document:
        [start, *words] = self._template.render_turn(TemplateTurn("", text))
        token_ids = [start, *words, self._template.end_id]
        weights = [0.0 if token_id in self._never else 1.0 for token_id in token_ids]
        return Document(token_ids, [0.0, *weights[1:]])

    def _after_line(self, words: list[int], start: int, end: int) -> int:
        """The last place in the second half of a window where a line has ended, or its end."""
        for at in range(end, start + (end - start) // 2, -1):
            if self._tokenizer.token_bytes(words[at - 1]).endswith(b"\n"):
                return at
        return end


def _word_weight(example: Example, turn: Turn, prompt_weight: float) -> float:
    if not example.label or turn.label:
        return 1.0
    # a reply before the labeled one is read: others may have written it
    return prompt_weight if turn.role == USER else 0.0


def _first_word_weight(example: Example, turn: Turn, opening_weight: float) -> float:
    first_reply = next(other for other in example.turns if other.role == AGENT)
    return opening_weight if turn is first_reply else 1.0


def never_tokens(template: TemplateManifest, tokenizer: Tokenizer) -> list[int]:
    """The tokens that no reply may contain: all special ones but the end and the labels."""
    allowed = {tokenizer.special_id(token) for token in (template.end_token, *template.labels)}
    return sorted(tokenizer.special_ids - allowed)

"""What is known of a request before its reply: what it is about, and which words answer it.

A label is the most probable one at any temperature. Where the version has words of its own for it,
they are the reply: one of their variants, chosen by the seed. Otherwise the model writes it, after
the label's token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from weakref import WeakKeyDictionary

from lstmserve_bundle import Answers, Bundle, Classification, Tokenizer
from lstmserve_bundle.answers import CHOICES
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.errors import ResumeMismatchError
from lstmserve_server.replies.cached_reply import CachedReply
from lstmserve_server.replies.fill_in import FillIn, Values
from lstmserve_server.replies.reply import Outcome, ReplyOutcome

# with the white space before it, as byte-level vocabularies have words
WORD = re.compile(r"\s*\S+|\s+\Z")


@dataclass(frozen=True, slots=True)
class Understood:
    """What is known of one request."""

    classification: Classification | None = None
    outcome: ReplyOutcome = ReplyOutcome.ANSWERED
    texts: tuple[str, ...] = ()  # the reply's variants, with their gaps; none: the model writes it
    values: Values | None = None  # of the gaps; None: nothing is filled in
    is_fallback: bool = False
    question: str = ""  # of the version's list, that is answered
    has_max_tokens: bool = False  # the request itself: own words are not cut at a model's default

    @property
    def source(self) -> Outcome:
        """Where own words come from."""
        return Outcome.FALLBACK if self.is_fallback else Outcome.ANSWERS


NOT_UNDERSTOOD = Understood()


def understand(
    classification: Classification | None,
    answers: Answers | None,
    values: Values | None,
    min_confidence: float | None,
    found: int | None = None,
    *,
    has_max_tokens: bool = False,
) -> Understood:
    """Decide which words answer; ``min_confidence`` is the request's, None for the version's.

    ``found`` is the place of the question in the version's list, if it is one of them: that is
    more particular than a label.
    """
    if found is not None and answers is not None:
        entry = answers.questions[found]
        return Understood(
            classification,
            ReplyOutcome(entry.outcome),
            (entry.answer,),
            values,
            question=entry.question,
            has_max_tokens=has_max_tokens,
        )
    if classification is None or answers is None:
        return Understood(classification, values=values)
    fallback = answers.fallback
    own = answers.labels.get(classification.label)
    is_fallback = False
    if fallback is not None:
        least = fallback.min_confidence if min_confidence is None else min_confidence
        is_fallback = classification.probability < least
    outcome = ReplyOutcome(own.outcome) if own is not None else ReplyOutcome.ANSWERED
    texts = tuple(own.answers) if own is not None else ()
    mentions = own.mentions if own is not None else []
    if fallback is not None and (is_fallback or (outcome is ReplyOutcome.UNSURE and not texts)):
        is_fallback, outcome, texts = True, ReplyOutcome.UNSURE, tuple(fallback.answers)
        mentions = fallback.mentions
        values = _with_choices(values, classification, answers)
    values = None if values is None else replace(values, mentions=mentions)
    return Understood(
        classification, outcome, texts, values, is_fallback, has_max_tokens=has_max_tokens
    )


def _with_choices(
    values: Values | None, classification: Classification, answers: Answers
) -> Values | None:
    """Return the values with the titles of the two most probable labels that have any."""
    if values is None:
        return None
    ranked = (classification.label, *(name for name, _ in classification.alternatives))
    entries = (answers.labels.get(name) for name in ranked)
    titles = [entry.title for entry in entries if entry is not None and entry.title is not None]
    return replace(
        values, variables={**values.variables, **dict(zip(CHOICES, titles, strict=False))}
    )


class _Words:
    """The words of an own answer, as if each were the text of its last token."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._words = words

    def token_bytes(self, token_id: int) -> bytes:
        return self._words[token_id]


def own_reply(understood: Understood, request: GenerationRequest, bundle: Bundle) -> CachedReply:
    """Return the reply in the version's own words; raises ResumeMismatchError.

    Its tokens are those of its words, so that it ends, stops and is resumed like any other.
    """
    variant = understood.texts[request.random_stream() % len(understood.texts)]
    most = request.max_tokens if understood.has_max_tokens else None
    made = _WHOLE.setdefault(bundle.tokenizer, {})
    is_whole = most is None and not request.stop_sequences
    reply = made.get(variant) if is_whole else None
    if reply is None:
        reply = _make_reply(variant, bundle, most, request.stop_sequences)
    if is_whole:
        made[variant] = reply
    had = request.resume_ids
    if len(had) >= len(reply.token_ids) or reply.token_ids[: len(had)] != had:
        raise ResumeMismatchError("resume_tokens: are not the beginning of this reply")
    return reply


# those that are asked for whole, which nearly all are: as many as a version has answers
_WHOLE: WeakKeyDictionary[Tokenizer, dict[str, CachedReply]] = WeakKeyDictionary()


def _make_reply(
    answer: str, bundle: Bundle, most: int | None, stop_sequences: tuple[str, ...]
) -> CachedReply:
    token_ids, words = _cut(answer, bundle)
    most = len(token_ids) if most is None else most
    text = ReplyText(_Words(words), len(token_ids) - 1, most, stop_sequences)
    parts = list[str]()
    while text.finish_reason is None:
        parts.append(text.push(len(parts)))
    told, ends = tuple(token_ids[: len(parts)]), tuple(accumulate(map(len, parts)))
    reason = text.finish_reason
    return CachedReply("".join(parts), told, ends, (), reason, text.stop_sequence, 0.0)


def _cut(text: str, bundle: Bundle) -> tuple[list[int], list[bytes]]:
    """Return the tokens of an answer, the end token last, and what each adds to the text.

    The tokenizer may write numbers and the like in its own way: what goes out is the text as it is.
    """
    token_ids, words = list[int](), list[bytes]()
    rest = ""
    for word in WORD.findall(text):
        found = bundle.tokenizer.encode(word)
        rest += word
        if found:
            token_ids += found
            words += [b""] * (len(found) - 1) + [rest.encode()]
            rest = ""
    return [*token_ids, bundle.template.end_id], [*words, rest.encode()]


def begin_filling(
    values: Values,
    request: GenerationRequest,
    bundle: Bundle,
    own: CachedReply | None,
) -> FillIn:
    """Return what fills the gaps of a reply, from where it is to go on."""
    filling = FillIn(values, is_vetted=own is not None)
    if not request.resume_ids:
        return filling
    if own is not None:
        filling.push(own.text[: own.text_ends[len(request.resume_ids) - 1]])
        return filling
    text = ReplyText(
        bundle.tokenizer, bundle.template.end_id, request.max_tokens, request.stop_sequences
    )
    for token_id in request.resume_ids:
        filling.push(text.push(token_id))
    return filling

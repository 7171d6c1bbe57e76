"""From the parts of a reply to events on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Classification, Tokenizer
from lstmserve_server.engine.output import FinishReason, Output, TokenLogprobs
from lstmserve_server.replies.reply import Outcome, Part, ReplyOutcome
from lstmserve_server.store.served_model import ServedModel

FINISH_REASONS = {
    FinishReason.END_OF_TEXT: pb.FINISH_REASON_END_OF_TEXT,
    FinishReason.MAX_TOKENS: pb.FINISH_REASON_MAX_TOKENS,
    FinishReason.STOP_SEQUENCE: pb.FINISH_REASON_STOP_SEQUENCE,
}


CACHE_OUTCOMES = {
    Outcome.BYPASS: pb.CACHE_OUTCOME_BYPASS,
    Outcome.MISS: pb.CACHE_OUTCOME_MISS,
    Outcome.HIT: pb.CACHE_OUTCOME_HIT,
    Outcome.COALESCED: pb.CACHE_OUTCOME_COALESCED,
    Outcome.ANSWERS: pb.CACHE_OUTCOME_BYPASS,
    Outcome.FALLBACK: pb.CACHE_OUTCOME_BYPASS,
}
# of what the model has not written; all else it has
SOURCES = {
    Outcome.ANSWERS: pb.REPLY_SOURCE_ANSWERS,
    Outcome.FALLBACK: pb.REPLY_SOURCE_FALLBACK,
}
REPLY_OUTCOMES = {
    ReplyOutcome.ANSWERED: pb.REPLY_OUTCOME_ANSWERED,
    ReplyOutcome.UNSURE: pb.REPLY_OUTCOME_UNSURE,
    ReplyOutcome.HANDOVER: pb.REPLY_OUTCOME_HANDOVER,
}
MAX_ALTERNATIVES = 10


def to_started(model: ServedModel, part: Part, request_id: str, question: str = "") -> pb.Started:
    """Return the event before a reply's first part."""
    return pb.Started(
        model=model.name,
        model_version=model.version,
        model_digest=model.manifest.digest,
        seed=part.request.sampling.seed,
        prompt_tokens=len(part.request.prompt_ids),
        cache=CACHE_OUTCOMES[part.provenance.outcome],
        request_id=request_id,
        is_inexact=not model.is_exact,
        question=question,
        source=SOURCES.get(part.provenance.outcome, pb.REPLY_SOURCE_MODEL),
    )


def to_classification(found: Classification) -> pb.Classification:
    return pb.Classification(
        label=pb.Label(name=found.label, probability=found.probability),
        alternatives=[
            pb.Label(name=name, probability=probability)
            for name, probability in found.alternatives[:MAX_ALTERNATIVES]
        ],
        in_scope_probability=found.in_scope_probability,
    )


def to_chunk(output: Output, tokenizer: Tokenizer) -> pb.Chunk:
    return pb.Chunk(
        text=output.text,
        token_ids=output.token_ids,
        logprobs=to_logprobs(output.token_ids, output.logprobs, tokenizer),
    )


def to_completion(
    part: Part, labels: Sequence[str], form_seconds: float = 0.0
) -> pb.Completion | None:
    """Return the event after a reply's last part; None after any other.

    Building the form that it keeps took ``form_seconds``.
    """
    finish = part.output.finish
    if finish is None:
        return None
    timings = finish.timings
    return pb.Completion(
        finish_reason=FINISH_REASONS[finish.reason],
        stop_sequence=finish.stop_sequence,
        usage=pb.Usage(
            prompt_tokens=len(part.request.prompt_ids),
            generated_tokens=finish.num_tokens,
            cached_prompt_tokens=part.provenance.num_known,
        ),
        timings=pb.Timings(
            queue_seconds=timings.queue_seconds,
            prefill_seconds=timings.prefill_seconds,
            decode_seconds=timings.decode_seconds,
            time_to_first_token_seconds=timings.time_to_first_token_seconds,
            total_seconds=timings.total_seconds,
            saved_seconds=part.saved_seconds,
            constraint_seconds=form_seconds,
        ),
        cache=CACHE_OUTCOMES[part.provenance.outcome],
        labels=labels,
        outcome=REPLY_OUTCOMES[part.outcome],
    )


def find_labels(token_ids: Sequence[int], model: ServedModel) -> list[str]:
    """Return the labels that the model wrote between the words of its reply."""
    names = model.bundle.template.label_of_id
    if names.keys().isdisjoint(token_ids):  # of most chunks, and told at once
        return []
    return [names[token_id] for token_id in token_ids if token_id in names]


def to_logprobs(
    token_ids: Sequence[int], entries: Sequence[TokenLogprobs], tokenizer: Tokenizer
) -> list[pb.TokenLogprobs]:
    """Return an entry for each token; none where nobody asked for them."""
    if not entries:
        return []
    return [
        pb.TokenLogprobs(
            logprob=entry.logprob,
            top=[
                pb.TokenLogprob(token_id=each, logprob=logprob, text=tokenizer.decode([each]))
                for each, logprob in entry.top
            ],
            text=tokenizer.decode([token_id]),
        )
        for token_id, entry in zip(token_ids, entries, strict=True)
    ]

"""What the engine said about a request, held against the reference decoder."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from lstmserve_server.engine.output import FinishReason, TokenLogprobs
from lstmserve_server.engine.request import GenerationRequest
from support.engines import Reply
from support.reference import ReferenceDecoder, ReferenceReply

Expected = tuple[GenerationRequest, ReferenceReply]


def expect(reference: ReferenceDecoder, request: GenerationRequest, rng: Random) -> Expected:
    """The request with what must come of it; now and then it resumes a reply halfway.

    What must follow a resumed reply is then the rest of the whole one.
    """
    expected = reference.reply(request)
    cut = rng.randrange(len(expected.token_ids)) if rng.random() < 0.3 else 0
    if request.stop_sequences or cut == 0:  # the reply may have ended before the cut
        return request, expected
    rest = replace(expected, token_ids=expected.token_ids[cut:], logprobs=expected.logprobs[cut:])
    return replace(request, resume_ids=tuple(expected.token_ids[:cut])), rest


def assert_as_computed(reply: Reply, expected: Expected) -> None:
    """Every token and every bit of every log-probability; of a cancelled reply what there is."""
    request, computed = expected
    count = len(reply.token_ids)
    assert reply.token_ids == computed.token_ids[:count]
    if request.sampling.num_logprobs is None:
        assert reply.logprobs == []
    else:
        assert len(reply.logprobs) == count
        for found, own in zip(reply.logprobs, computed.logprobs, strict=False):
            assert_same_logprobs(found, own, request.sampling.num_logprobs)
    if reply.finish is None:
        return
    if reply.finish.reason is FinishReason.STOP_SEQUENCE:
        assert reply.finish.stop_sequence in request.stop_sequences
    else:
        assert reply.finish.reason is computed.reason
        assert count == len(computed.token_ids)
    assert reply.finish.num_tokens == len(request.resume_ids) + count


def assert_same_logprobs(found: TokenLogprobs, computed: TokenLogprobs, num_top: int) -> None:
    """Bit for bit; of candidates that are equally likely any may come first."""
    assert found.logprob == computed.logprob
    assert [x for _, x in found.top] == [x for _, x in computed.top[:num_top]]
    assert {*found.top} <= {*computed.top}
    assert len({*found.top}) == num_top

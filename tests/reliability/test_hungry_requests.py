"""Requests that ask for as much as a request may."""

from __future__ import annotations

from pathlib import Path

from lstmserve.v1 import generation_service_pb2 as pb
from support.bystanders import Expected, bystanders
from support.calls import LONG
from support.footprint import Footprint, files_until, settled
from support.served import ask_at_once, serve

NUM_REQUESTS = 64
NUM_AGAIN = 16
MAX_PROMPT_TOKENS = 256  # of the tiny model
NUM_BIASED = 448  # all of its vocabulary
# most of it are 512 by 20 log-probabilities, kept until a unary reply is whole
MOST_BYTES_PER_REQUEST = 4 << 20
MOST_GROWTH_AGAIN_BYTES = 32 << 20


def hungry(seed: int) -> pb.GenerateRequest:
    """The longest prompt, the longest reply, all log-probabilities, and every option on."""
    request = pb.GenerateRequest(
        prompt="x " * (MAX_PROMPT_TOKENS // 3),
        sampling=LONG.sampling,
        stopping=LONG.stopping,
    )
    request.sampling.MergeFrom(
        pb.SamplingParams(
            seed=seed,
            temperature=2,
            top_p=0.99,
            min_p=0.0001,
            repetition_penalty=1.1,
            frequency_penalty=0.1,
            presence_penalty=0.1,
            logit_bias=dict.fromkeys(range(NUM_BIASED), 0.5),
        )
    )
    request.stopping.stop_sequences.extend([f"{n}" * 64 for n in range(8)])
    return request


def test_the_hungriest_requests_fill_the_batch_and_not_the_memory(
    tiny_store: Path, expected: Expected
) -> None:
    """As many of the largest requests as the batch has rows, at once, each with a seed of its
    own: what the server grows by is bounded for each, other callers' replies are the same,
    and so are theirs when they are asked for one by one; asked again, it grows no more.
    """
    with serve(tiny_store, "--cache-bytes", "0") as served:
        requests = [hungry(seed) for seed in range(NUM_REQUESTS)]
        alone = [served.ask(request) for request in requests[:2]]
        before = settled(served)
        with bystanders(served.process.target, expected) as others:
            replies = ask_at_once(served, requests)
            first = Footprint.of(served.process)
            assert ask_at_once(served, requests[:NUM_AGAIN]) == replies[:NUM_AGAIN]
            others.replies()
        assert replies[:2] == alone
        assert {len(reply.logprobs) for reply in replies} == {LONG.stopping.max_tokens}
        grown = first.resident_bytes - before.resident_bytes
        assert grown < NUM_REQUESTS * MOST_BYTES_PER_REQUEST
        served.page_once_idle()
        after = files_until(served, lambda count: count <= before.files)
        assert after.resident_bytes - first.resident_bytes < MOST_GROWTH_AGAIN_BYTES
        assert after.threads <= before.threads

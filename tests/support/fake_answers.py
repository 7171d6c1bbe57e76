"""What the fake server of the client's tests answers, unless a test says otherwise."""

from __future__ import annotations

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb


def started() -> pb.Started:
    return pb.Started(
        model="support-en",
        model_version="3",
        model_digest="ab" * 32,
        seed=2**64 - 1,
        prompt_tokens=4,
        cache=pb.CACHE_OUTCOME_MISS,
        request_id="req-1",
    )


def chunks() -> list[pb.Chunk]:
    top = [
        pb.TokenLogprob(token_id=7, logprob=-0.25, text="Hel"),
        pb.TokenLogprob(token_id=9, logprob=-2.0, text="[bold]no"),
    ]
    first = pb.Chunk(text="Hel", token_ids=[7], logprobs=[pb.TokenLogprobs(logprob=-0.25, top=top)])
    last = pb.Chunk(text="lo [bold]you", token_ids=[8, 2])
    last.logprobs.extend([pb.TokenLogprobs(logprob=-0.5), pb.TokenLogprobs(logprob=-1.0)])
    return [first, last]


def completion() -> pb.Completion:
    return pb.Completion(
        finish_reason=pb.FINISH_REASON_END_OF_TEXT,
        usage=pb.Usage(prompt_tokens=4, generated_tokens=3, cached_prompt_tokens=1),
        timings=pb.Timings(
            time_to_first_token_seconds=0.0015, total_seconds=0.0075, saved_seconds=0.25
        ),
        cache=pb.CACHE_OUTCOME_MISS,
        labels=["intent:greet"],
    )


def classification() -> pb.Classification:
    return pb.Classification(
        label=pb.Label(name="intent:greet", probability=0.75),
        alternatives=[pb.Label(name="[bold]other", probability=0.25)],
        in_scope_probability=0.875,
    )


def model() -> model_pb.Model:
    return model_pb.Model(
        name="support-en",
        version="3",
        digest="ab" * 32,
        state=model_pb.MODEL_STATE_READY,
        is_default=True,
        family="stacked-lstm",
        license="Apache-2.0",
        sizes=model_pb.ModelSizes(parameters=6_000_000, size_bytes=7_500_000, layers=2),
        limits=model_pb.ModelLimits(max_prompt_tokens=512, max_tokens=256),
        default_sampling=pb.SamplingParams(temperature=0.5, logit_bias={3: -1.0}),
        default_max_tokens=64,
        labels=["intent:greet"],
        evaluation={"perplexity": "15.0"},
    )


def cache_stats() -> cache_pb.GetCacheStatsResponse:
    replies, states = cache_pb.CACHE_ENTRY_KIND_REPLY, cache_pb.CACHE_ENTRY_KIND_STATE
    figures = {"entries": 3210, "bytes": 53 << 20, "max_bytes": 64 << 20}
    return cache_pb.GetCacheStatsResponse(
        enabled=True,
        stores=[
            cache_pb.CacheStoreStats(
                store="memory", kind=replies, hits=1500, misses=500, stored=7, evicted=2, **figures
            ),
            cache_pb.CacheStoreStats(store="redis", kind=states, hits=1, misses=2, failures=5),
        ],
        redis=cache_pb.RedisStats(
            address="127.0.0.1:6379",
            available=True,
            used_bytes=3 << 19,
            max_bytes=1 << 30,
            eviction_policy="allkeys-lfu",
        ),
        coalesced_requests=17,
        saved_seconds=1234.5,
        threshold=2,
        variants=8,
    )


def events() -> list[pb.GenerateResponse]:
    return [
        pb.GenerateResponse(started=started()),
        *(pb.GenerateResponse(chunk=chunk) for chunk in chunks()),
        pb.GenerateResponse(completion=completion()),
    ]


def reply() -> pb.GenerateReplyResponse:
    """Return the same, whole."""
    return pb.GenerateReplyResponse(
        text="Hello [bold]you",
        token_ids=[7, 8, 2],
        logprobs=[entry for chunk in chunks() for entry in chunk.logprobs],
        started=started(),
        completion=completion(),
    )

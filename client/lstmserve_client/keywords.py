"""What methods take by keyword, each declared once with what ``help()`` says of it.

Of every keyword ``None`` is the same as leaving it out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias, TypedDict

from lstmserve_client.affinity import Affinity
from lstmserve_client.constraints import Constraint
from lstmserve_client.policies import HedgePolicy, RetryPolicy
from lstmserve_client.records import Observer
from lstmserve_client.tls import Tls
from lstmserve_client.types import CacheMode, Priority, SamplingParams, StoppingCriteria

Token: TypeAlias = str | Callable[[], str]
CacheModeName: TypeAlias = Literal["default", "bypass", "refresh", "only_if_cached"]
PriorityName: TypeAlias = Literal["low", "normal", "high"]


class ClientOptions(TypedDict, total=False):
    """What both clients take by keyword; all optional."""

    tls: Annotated[Tls | None, "how to encrypt; without it calls go in clear"]
    token: Annotated[Token | None, "or a function that gives one for each attempt"]
    caller: Annotated[str | None, "who asks: fair shares, versions and caches go by it"]
    metadata: Annotated[Mapping[str, str] | None, "sent with every call"]
    timeout: Annotated[float | None, "seconds for calls that name none, 60; math.inf: no end"]
    timeout_seconds: Annotated[float | None, "the same as timeout"]
    retry: Annotated[RetryPolicy | None, "how hard to try; max_attempts=1 never asks again"]
    hedge: Annotated[HedgePolicy | None, "when reply() asks a second server as well; never"]
    affinity: Annotated[Affinity | None, "for calls that give none; True: by how they begin; False"]
    keepalive_seconds: Annotated[float | None, "between signs of life of a silent server, 5"]
    keepalive_timeout_seconds: Annotated[float | None, "for such a sign to come, 3"]
    allow_clear_token: Annotated[bool | None, "the network is trusted with the token; False"]
    on_call_end: Annotated[Observer | None, "is told of each call that has ended: a CallRecord"]


class CallOptions(TypedDict, total=False):
    """What every method takes by keyword; all optional."""

    timeout: Annotated[float | None, "seconds for the whole call; math.inf: no end"]
    timeout_seconds: Annotated[float | None, "the same as timeout"]
    request_id: Annotated[str | None, "the call's name in logs; a fresh one unless given"]
    metadata: Annotated[Mapping[str, str] | None, "sent with it, besides the client's"]


class SamplingOptions(TypedDict, total=False):
    """The fields of ``SamplingParams``; what is left out follows the model's default."""

    temperature: Annotated[float | None, "0 takes the likeliest token, 1 is as learned; 0 to 2"]
    top_p: Annotated[float | None, "sample among the likeliest with this probability; above 0 to 1"]
    top_k: Annotated[int | None, "sample among the k likeliest tokens; 0: all"]
    min_p: Annotated[float | None, "drop tokens less likely than this times the likeliest; below 1"]
    seed: Annotated[int | None, "makes a sampled reply repeatable; 0 to 2^64 - 1"]
    repetition_penalty: Annotated[float | None, "of tokens that stand in prompt or reply; 1: none"]
    frequency_penalty: Annotated[float | None, "for each time a token stands there; -2 to 2"]
    presence_penalty: Annotated[float | None, "of each token that stands in the reply; -2 to 2"]
    logit_bias: Annotated[Mapping[int, float] | None, "added to logits, by token id; -100 to 100"]
    logprobs: Annotated[int | None, "log-probabilities of so many tokens per position; 0 to 20"]


class StoppingOptions(TypedDict, total=False):
    """The fields of ``StoppingCriteria``; what is left out follows the model's default."""

    max_tokens: Annotated[int | None, "the most tokens of the reply; at least 1"]
    min_tokens: Annotated[int | None, "the reply does not end by itself before"]
    stop: Annotated[
        str | Sequence[str] | None, "ends the reply before this text, or one of up to 8"
    ]


class RequestOptions(SamplingOptions, StoppingOptions, total=False):
    """What a request says besides its prompt, also for a whole conversation; all optional."""

    model: Annotated[str | None, "the server's default model unless given"]
    model_version: Annotated[str | int | None, "such as 2; the one served by default unless given"]
    sampling: Annotated[SamplingParams | None, "temperature, seed and so on as one object"]
    stopping: Annotated[StoppingCriteria | None, "max_tokens, stop and so on as one object"]
    min_confidence: Annotated[float | None, "labels less probable get the fallback answer; 0 to 1"]
    variables: Annotated[Mapping[str, str] | None, "values for placeholders such as {{name}}"]
    constraint: Annotated[Constraint | None, "a form that the reply keeps, such as Choices"]
    cache_mode: Annotated[
        CacheMode | CacheModeName | None, '"default", "bypass", "refresh" or "only_if_cached"'
    ]
    cache_tags: Annotated[
        str | Sequence[str] | None, "a name to purge what is kept by, or up to 8 of them"
    ]
    priority: Annotated[Priority | PriorityName | None, '"low", "normal" or "high"']
    affinity: Annotated[Affinity | None, "the same text prefers the same server; False: any"]


class GenerateOptions(RequestOptions, CallOptions, total=False):
    """What ``generate`` takes by keyword besides the prompt."""


class WholeReplyOptions(GenerateOptions, total=False):
    """What ``reply`` takes by keyword besides the prompt: also how many replies to choose among."""

    best_of: Annotated[int | None, "sample so many side by side and give the likeliest; 1 to 16"]
    num_replies: Annotated[int | None, "give so many, best first, as alternatives; 1 to best_of"]


class ClassifyOptions(CallOptions, total=False):
    """What ``classify`` and ``classify_many`` take by keyword besides what to classify."""

    model: Annotated[str | None, "the server's default model unless given"]
    model_version: Annotated[str | int | None, "such as 2; the one served by default unless given"]

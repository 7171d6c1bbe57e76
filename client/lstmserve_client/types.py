"""What a caller gives and gets: plain values that know neither protobuf nor gRPC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["user", "agent", "assistant"]
"""Who says something; the assistant is the agent by the name that other services use."""

Message: TypeAlias = Mapping[str, object]
"""A turn as other services take it: ``{"role": "user", "content": "Where is my order?"}``, or with
a list of parts as its content: ``[{"type": "text", "text": "Where is my order?"}]``.
"""


class CacheMode(StrEnum):
    """How one request may use the server's reply cache."""

    DEFAULT = "default"  # a cached reply may answer, and this one may be stored
    BYPASS = "bypass"  # neither read nor write; without a seed, a fresh random one
    REFRESH = "refresh"  # do not read, but store the new reply
    ONLY_IF_CACHED = "only_if_cached"  # answer from the cache or not at all


class Priority(StrEnum):
    """Which requests go first when there are more than can run."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class CacheOutcome(StrEnum):
    """What the reply cache did for a request."""

    UNKNOWN = "unknown"
    BYPASS = "bypass"  # not asked: by the request's wish, or because there is none
    MISS = "miss"
    HIT = "hit"
    COALESCED = "coalesced"  # shared with an identical request that was already running


class CacheEntryKind(StrEnum):
    """What a cache keeps."""

    UNKNOWN = "unknown"
    REPLY = "reply"  # whole replies
    STATE = "state"  # states of a model after the beginning of a prompt


class FinishReason(StrEnum):
    """Why a reply ended. Failures are exceptions, never finish reasons."""

    UNKNOWN = "unknown"  # the server gave none, or one that this client does not know
    END_OF_TEXT = "end_of_text"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"


class ReplySource(StrEnum):
    """Who wrote a reply."""

    UNKNOWN = "unknown"
    MODEL = "model"  # now or before
    ANSWERS = "answers"  # the version's own answer to the label
    FALLBACK = "fallback"  # the version's own answer to what it does not know


class ReplyOutcome(StrEnum):
    """What a bot should make of a reply."""

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    UNSURE = "unsure"  # ask again, or hand over
    HANDOVER = "handover"  # a person should take over


class ModelState(StrEnum):
    """Whether a model version answers requests."""

    UNKNOWN = "unknown"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


class ServingStatus(StrEnum):
    """The answer of the standard health service."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    SERVICE_UNKNOWN = "SERVICE_UNKNOWN"


class LogLevel(StrEnum):
    """The least severe lines that a server writes."""

    UNKNOWN = "UNKNOWN"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    text: str


Prompt: TypeAlias = str | Sequence[Turn | Message]
"""A single question, or a conversation whose last turn is the user's, oldest turn first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How each token is chosen; ``None`` follows the model's default.

    The server checks the ranges, so that one place decides them.

        >>> client.reply("hi", sampling=SamplingParams(temperature=0.8, seed=7)).started.seed
        7
    """

    temperature: float | None = None  # 0 is greedy
    top_k: int | None = None  # 0 means all tokens
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)  # by token id
    seed: int | None = None  # makes a sampled reply repeatable
    logprobs: int | None = None  # how many of the most likely tokens to tell per position


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingCriteria:
    """When a reply ends; ``None`` follows the model's default. Lengths are in tokens.

    Raises TypeError for stop sequences that are one text, of which each letter would be one.
    """

    max_tokens: int | None = None
    min_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.stop_sequences, str):
            raise TypeError('stop_sequences: must be several texts, such as ("\\n",), not one')


@dataclass(frozen=True, slots=True)
class Started:
    """The request was accepted: what decides this reply, enough to repeat it."""

    model: str
    model_version: str
    model_digest: str  # SHA-256 of all that can change a reply, hexadecimal
    seed: int
    prompt_tokens: int
    cache: CacheOutcome
    request_id: str
    is_inexact: bool = False  # another time the same request may get another reply
    source: ReplySource = ReplySource.UNKNOWN
    question: str = ""  # of the version's own list, that is answered

    @property
    def text(self) -> str:
        """None yet."""
        return ""


@dataclass(frozen=True, slots=True)
class Label:
    """What a text may be about: what bots call an intent."""

    name: str  # such as "intent:cancel_order"
    probability: float  # calibrated: of labels told with 0.8, four in five are right


@dataclass(frozen=True, slots=True)
class Classification:
    """What a request is about, by the version's classifier: a function of its texts alone."""

    label: Label  # the most probable one
    alternatives: tuple[Label, ...]  # the others, most probable first; at most ten
    in_scope_probability: float  # that it is about anything that the version knows

    @property
    def text(self) -> str:
        """None: an event of a stream, like others."""
        return ""

    @property
    def ranking(self) -> tuple[Label, ...]:
        """All labels, most probable first."""
        return (self.label, *self.alternatives)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One candidate token and its log-probability in nats."""

    token_id: int
    logprob: float
    text: str


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities at one position, in nats: the chosen token's, and the most likely ones'."""

    logprob: float
    top: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A further piece of the reply. The text is empty while a character is incomplete."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...]  # one per token, if asked for


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request."""

    prompt_tokens: int
    generated_tokens: int
    cached_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Durations of one request, in seconds on the server's clock."""

    queue_seconds: float
    prefill_seconds: float
    decode_seconds: float
    time_to_first_token_seconds: float
    total_seconds: float
    saved_seconds: float  # that generating took before, and did not take for this request
    constraint_seconds: float = 0.0  # of building what the constraint is kept by; 0: it was there


@dataclass(frozen=True, slots=True)
class Completion:
    """How a reply ended and what it cost."""

    finish_reason: FinishReason
    stop_sequence: str  # empty unless finish_reason says so
    usage: Usage
    timings: Timings
    cache: CacheOutcome
    labels: tuple[str, ...]  # such as "intent:cancel_order"
    outcome: ReplyOutcome = ReplyOutcome.UNKNOWN

    @property
    def text(self) -> str:
        """None any more."""
        return ""


Event: TypeAlias = Started | Classification | Chunk | Completion
"""What a stream yields: one Started, a Classification if the version has a classifier, any number
of Chunks, one Completion. All have a text."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...]
    started: Started
    completion: Completion
    classification: Classification | None = None  # of versions that have a classifier
    mean_logprob: float | None = None  # of its tokens, in nats; only where several were sampled
    alternatives: tuple["Reply", ...] = ()  # the next best ones, where several were asked for
    parsed: Any = None  # the value of the text, where a JsonSchema was asked for

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Sizes of a model."""

    vocabulary: int
    hidden: int
    layers: int
    parameters: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What one request may ask of a model, in tokens."""

    max_prompt_tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model: its card and its state on this server."""

    name: str
    version: str
    digest: str
    state: ModelState
    state_reason: str
    is_default: bool
    family: str
    description: str
    license: str  # SPDX
    sizes: ModelSizes
    limits: ModelLimits
    default_sampling: SamplingParams
    default_max_tokens: int
    labels: tuple[str, ...]
    evaluation: Mapping[str, str] = field(hash=False)  # figures by name, as published
    traffic_share: float = 0.0  # of the requests naming this model and no version
    is_inexact: bool = False  # served although its replies are not exact (--allow-inexact)
    forms: tuple[str, ...] = ()  # that a constraint may name
    example_prompts: tuple[str, ...] = ()  # that show what it is good for


@dataclass(frozen=True, slots=True)
class CacheStoreStats:
    """Figures of one kind of entry in one store, since the server process started."""

    store: str  # "memory" or "redis"
    kind: CacheEntryKind
    hits: int
    misses: int
    failures: int  # lookups that failed, took too long, or were left out
    stored: int
    evicted: int  # this and what follows: of memory only
    entries: int
    used_bytes: int
    max_bytes: int

    @property
    def hit_ratio(self) -> float | None:
        """Hits among all lookups, failed ones too; ``None`` before the first."""
        lookups = self.hits + self.misses + self.failures
        return self.hits / lookups if lookups else None


@dataclass(frozen=True, slots=True)
class RedisStats:
    """One Redis, as the server process sees it."""

    address: str  # without credentials
    available: bool
    used_bytes: int  # for whatever it holds
    max_bytes: int  # 0: no limit
    eviction_policy: str  # such as "allkeys-lfu"


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache of one server process holds and how well it does."""

    enabled: bool  # False: no cache is configured, and every reply is generated
    stores: tuple[CacheStoreStats, ...]  # one per store and kind of entry
    redis: RedisStats | None  # None: none is configured
    coalesced_requests: int  # that joined an identical one in flight
    saved_seconds: float  # of generating
    threshold: int  # a reply is stored when it has been asked for so often within a window
    variants: int  # replies that a sampled request without a seed may get


@dataclass(frozen=True, slots=True)
class CachePurged:
    """How many entries were dropped."""

    memory_entries: int  # of the server process that was asked
    redis_entries: int


@dataclass(frozen=True, slots=True)
class CacheWarmed:
    """What came of the replies that a request may get."""

    generated: int  # and stored now
    already_stored: int

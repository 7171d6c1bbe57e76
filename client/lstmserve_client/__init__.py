"""Client of lstmserve: replies of small language models, streamed over gRPC.

from lstmserve_client import Client

with Client() as client:
    for piece in client.generate("Where is my order?").text:
        print(piece, end="", flush=True)
"""

import os

# read by gRPC when it is imported: else it writes lines of its own about connections that break,
# which this client mends or tells in its errors
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lstmserve_client.async_client import AsyncClient
from lstmserve_client.async_conversation import AsyncConversation
from lstmserve_client.client import Client
from lstmserve_client.constraints import (
    Choices,
    Constraint,
    Form,
    Grammar,
    JsonSchema,
    Regex,
)
from lstmserve_client.conversation import Conversation
from lstmserve_client.errors import (
    BrokenReplyError,
    DeadlineExceededError,
    FieldViolation,
    InvalidRequestError,
    LstmserveError,
    ModelNotFoundError,
    ModelStateError,
    NotCachedError,
    OverloadedError,
    PermissionDeniedError,
    PoisonedRequestError,
    RequestCancelledError,
    ResumeError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
    VersionGoneError,
)
from lstmserve_client.keywords import (
    CallOptions,
    ClassifyOptions,
    ClientOptions,
    GenerateOptions,
    RequestOptions,
    WholeReplyOptions,
)
from lstmserve_client.policies import HedgePolicy, RetryPolicy
from lstmserve_client.records import CallRecord
from lstmserve_client.reply_stream import AsyncReplyStream, ReplyStream
from lstmserve_client.tls import Tls
from lstmserve_client.types import (
    CacheEntryKind,
    CacheMode,
    CacheOutcome,
    CachePurged,
    CacheStats,
    CacheStoreStats,
    CacheWarmed,
    Chunk,
    Classification,
    Completion,
    Event,
    FinishReason,
    Label,
    LogLevel,
    Model,
    ModelLimits,
    ModelSizes,
    ModelState,
    Priority,
    Prompt,
    RedisStats,
    Reply,
    ReplyOutcome,
    ReplySource,
    SamplingParams,
    ServingStatus,
    Started,
    StoppingCriteria,
    Timings,
    TokenLogprob,
    TokenLogprobs,
    Turn,
    Usage,
)

__all__ = [
    "AsyncClient",
    "AsyncConversation",
    "AsyncReplyStream",
    "BrokenReplyError",
    "CacheEntryKind",
    "CacheMode",
    "CacheOutcome",
    "CachePurged",
    "CacheStats",
    "CacheStoreStats",
    "CacheWarmed",
    "CallOptions",
    "CallRecord",
    "Choices",
    "Chunk",
    "Classification",
    "ClassifyOptions",
    "Client",
    "ClientOptions",
    "Completion",
    "Constraint",
    "Conversation",
    "DeadlineExceededError",
    "Event",
    "FieldViolation",
    "FinishReason",
    "Form",
    "GenerateOptions",
    "Grammar",
    "HedgePolicy",
    "InvalidRequestError",
    "JsonSchema",
    "Label",
    "LogLevel",
    "LstmserveError",
    "Model",
    "ModelLimits",
    "ModelNotFoundError",
    "ModelSizes",
    "ModelState",
    "ModelStateError",
    "NotCachedError",
    "OverloadedError",
    "PermissionDeniedError",
    "PoisonedRequestError",
    "Priority",
    "Prompt",
    "RedisStats",
    "Regex",
    "Reply",
    "ReplyOutcome",
    "ReplySource",
    "ReplyStream",
    "RequestCancelledError",
    "RequestOptions",
    "ResumeError",
    "RetryPolicy",
    "SamplingParams",
    "ServerError",
    "ServingStatus",
    "Started",
    "StoppingCriteria",
    "Timings",
    "Tls",
    "TokenLogprob",
    "TokenLogprobs",
    "Turn",
    "UnauthenticatedError",
    "UnavailableError",
    "Usage",
    "VersionGoneError",
    "WholeReplyOptions",
]

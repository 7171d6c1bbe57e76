"""Client of lstmserve: replies of small language models, streamed over gRPC.

from lstmserve_client import Chunk, Client

with Client() as client:
    for event in client.generate("Where is my order?"):
        if isinstance(event, Chunk):
            print(event.text, end="", flush=True)
"""

from lstmserve_client.async_client import AsyncClient
from lstmserve_client.client import Client
from lstmserve_client.errors import (
    BrokenReplyError,
    DeadlineExceededError,
    FieldViolation,
    InvalidRequestError,
    LstmserveError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RequestCancelledError,
    ResumeError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)
from lstmserve_client.types import (
    CacheMode,
    CacheOutcome,
    Chunk,
    Completion,
    Event,
    FinishReason,
    Model,
    ModelLimits,
    ModelSizes,
    ModelState,
    Priority,
    Prompt,
    Reply,
    RequestOptions,
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
    "BrokenReplyError",
    "CacheMode",
    "CacheOutcome",
    "Chunk",
    "Client",
    "Completion",
    "DeadlineExceededError",
    "Event",
    "FieldViolation",
    "FinishReason",
    "InvalidRequestError",
    "LstmserveError",
    "Model",
    "ModelLimits",
    "ModelNotFoundError",
    "ModelSizes",
    "ModelState",
    "OverloadedError",
    "PermissionDeniedError",
    "Priority",
    "Prompt",
    "Reply",
    "RequestCancelledError",
    "RequestOptions",
    "ResumeError",
    "SamplingParams",
    "ServerError",
    "ServingStatus",
    "Started",
    "StoppingCriteria",
    "Timings",
    "TokenLogprob",
    "TokenLogprobs",
    "Turn",
    "UnauthenticatedError",
    "UnavailableError",
    "Usage",
]

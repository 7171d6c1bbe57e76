"""The fields of requests: how each is read, what it is called here, and what is not served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lstmserve_server.openai_api.counts import COUNTS, to_count
from lstmserve_server.openai_api.users import SUCCESSOR, USER, to_user
from lstmserve_server.rpc.metadata import CALLER_ID_KEY
from lstmserve_server.rpc.open_inference.parameters import PARAMETERS
from lstmserve_server.rpc.open_inference.values import to_flag, to_text

Read = Callable[[Any], Any]
MAX_NAME = 64  # characters of a name that a caller has made up
MAX_PROMPTS = 16
MAX_DEPTH = 8  # of objects and lists in each other: nothing that is read here is as deep
SCHEMA = "schema"  # whose nulls are values

# our own parameters have the names that they have everywhere
_SHARED: Mapping[str, Read] = {
    **{name: parameter.read for name, parameter in PARAMETERS.items()},
    **dict.fromkeys((*COUNTS, "max_completion_tokens", "n", "best_of"), to_count),
    "model": to_text,
    USER: to_user,
    SUCCESSOR: to_user,
    "prompt_cache_key": to_text,  # a hint of no effect
    "stream": to_flag,
}
COMPLETION_READERS: Mapping[str, Read] = MappingProxyType(dict(_SHARED))
CHAT_READERS: Mapping[str, Read] = MappingProxyType(
    {**_SHARED, "logprobs": to_flag, "top_logprobs": to_count}
)
# what is not served, and what may be sent of it because it asks for nothing
NOT_SERVED: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "audio": (),
        "echo": (False,),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "metadata": ({},),
        "modalities": (["text"],),
        "moderation": (),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "prompt_cache_options": ({},),
        "prompt_cache_retention": (),
        "reasoning_effort": ("none",),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "suffix": ("",),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "verbosity": ("medium",),  # as without it
        "web_search_options": (),  # of which {} asks for a search
    }
)
# the caller's names of our fields; what a request has called otherwise is put beside them
PLACES: Mapping[str, str] = MappingProxyType(
    {
        **{parameter.field: name for name, parameter in PARAMETERS.items()},
        "model_version": "model",
        "conversation": "messages",
        "conversation.turns": "messages",
        "num_replies": "n",
        CALLER_ID_KEY: "user",
    }
)


def without_nulls(value: Any, depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON
    """Return a value with no member that is null: null means nothing, wherever it stands."""
    if depth and isinstance(value, dict):
        return {
            name: each if name == SCHEMA else without_nulls(each, depth - 1)
            for name, each in value.items()
            if each is not None
        }
    if depth and isinstance(value, list):
        return [without_nulls(each, depth - 1) for each in value]
    return value

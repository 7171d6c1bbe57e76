"""What importing the package gives, and what it costs."""

import json
import sys

import pytest

import lstmserve
import lstmserve_client
from benchmarks.testbed.process import run_program
from lstmserve_client import testing

NAMES = """
AsyncClient AsyncConversation AsyncReplyStream BrokenReplyError CacheEntryKind CacheMode
CacheOutcome CachePurged CacheStats CacheStoreStats CacheWarmed CallOptions CallRecord Choices Chunk
Classification ClassifyOptions Client ClientOptions Completion Constraint Conversation
DeadlineExceededError Event FieldViolation FinishReason Form GenerateOptions Grammar HedgePolicy
InvalidRequestError JsonSchema Label LogLevel LstmserveError Model ModelLimits ModelNotFoundError
ModelSizes ModelState ModelStateError NotCachedError OverloadedError PermissionDeniedError
PoisonedRequestError Priority Prompt RedisStats Regex Reply ReplyOutcome ReplySource ReplyStream
RequestCancelledError RequestOptions ResumeError RetryPolicy SamplingParams ServerError
ServingStatus Started StoppingCriteria Timings Tls TokenLogprob TokenLogprobs Turn
UnauthenticatedError UnavailableError UnreadableReplyError Usage VersionGoneError WholeReplyOptions
"""
TESTING_NAMES = ["FakeClock", "FakeReply", "FakeRequest", "FakeService", "make_model"]
HEAVY = {"pytest", "torch", "numpy", "pydantic", "typer", "rich", "tokenizers", "lstmserve_bundle"}


def test_the_public_names_are_pinned() -> None:
    assert sorted(lstmserve_client.__all__) == NAMES.split()
    assert all(hasattr(lstmserve_client, name) for name in NAMES.split())
    assert sorted(testing.__all__) == TESTING_NAMES
    assert all(hasattr(testing, name) for name in TESTING_NAMES)


def test_the_package_of_the_wire_has_the_same_names() -> None:
    assert all(
        getattr(lstmserve, name) is getattr(lstmserve_client, name) for name in NAMES.split()
    )
    assert set(dir(lstmserve)) >= {*NAMES.split(), "v1"}
    named: dict[str, object] = {}
    exec("from lstmserve import *", named)  # what a newcomer writes
    assert named.keys() >= set(NAMES.split())
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        _ = lstmserve.Clint


def test_the_wire_alone_imports_no_client() -> None:
    found = imported_by("lstmserve.v1.generation_service_pb2")
    assert {name for name in found if name.startswith("lstmserve_client")} == set()


def imported_by(module: str) -> set[str]:
    """What a fresh interpreter has imported once it has this module."""
    script = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    run = run_program([sys.executable, "-c", script], capture_output=True, check=True)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("module", ["lstmserve_client", "lstmserve_client.testing"])
def test_importing_the_client_imports_nothing_heavy(module: str) -> None:
    assert HEAVY.isdisjoint(imported_by(module))


def test_the_command_line_imports_no_model() -> None:
    assert {"torch", "numpy", "tokenizers"}.isdisjoint(imported_by("lstmserve_client.cli"))

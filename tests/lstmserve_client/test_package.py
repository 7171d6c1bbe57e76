"""What importing the package gives, and what it costs."""

import json
import subprocess
import sys

import lstmserve_client

NAMES = """
AsyncClient BrokenReplyError CacheEntryKind CacheMode CacheOutcome CachePurged CacheStats
CacheStoreStats CacheWarmed Chunk Client Completion DeadlineExceededError Event FieldViolation
FinishReason InvalidRequestError LogLevel LstmserveError Model ModelLimits ModelNotFoundError
ModelSizes ModelState ModelStateError NotCachedError OverloadedError PermissionDeniedError
Priority Prompt RedisStats Reply RequestCancelledError RequestOptions ResumeError SamplingParams
ServerError ServingStatus Started StoppingCriteria Timings TokenLogprob TokenLogprobs Turn
UnauthenticatedError UnavailableError Usage
"""
HEAVY = {"torch", "numpy", "pydantic", "typer", "rich", "tokenizers", "lstmserve_bundle"}


def test_the_public_names_are_pinned() -> None:
    assert sorted(lstmserve_client.__all__) == NAMES.split()
    assert all(hasattr(lstmserve_client, name) for name in NAMES.split())


def test_importing_the_client_imports_nothing_heavy() -> None:
    script = "import json, sys, lstmserve_client; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert HEAVY.isdisjoint(json.loads(run.stdout))


def test_the_command_line_imports_no_model() -> None:
    script = "import json, sys, lstmserve_client.cli; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert {"torch", "numpy", "tokenizers"}.isdisjoint(json.loads(run.stdout))

"""``lstmserve cache`` as its users see it: output, errors and exit codes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lstmserve
    from support.fake_server import FakeServer


def table(output: str) -> dict[str, list[str]]:
    """The cells of a table's rows by their first one."""
    rows = [line.strip("│").split("│") for line in output.splitlines() if line.startswith("│")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


def facts(output: str) -> dict[str, str]:
    """What stands in two columns under the table."""
    lines = [line.strip() for line in output.splitlines() if line[:1].isalpha()]
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in lines)


def test_stats_are_a_table_that_fits_a_terminal(
    lstmserve: Lstmserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = lstmserve("cache", "stats")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "memory replies ┃ redis states" in result.stdout
    assert table(result.stdout) == {
        "hits": ["1,500", "1"],
        "misses": ["500", "2"],
        "failures": ["0", "5"],
        "hit ratio": ["75.0%", "12.5%"],
        "stored": ["7", "0"],
        "evicted": ["2", "-"],
        "entries": ["3,210", "-"],
        "size": ["53.0 MiB", "-"],
        "at most": ["64.0 MiB", "-"],
    }
    assert facts(result.stdout) == {
        "seconds saved": "1,234.500",
        "coalesced requests": "17",
        "requests until a reply is stored": "2",
        "replies per unseeded sampled request": "8",
        "Redis": "127.0.0.1:6379, available",
        "Redis memory in use": "1.5 MiB of 1.0 GiB",
        "Redis when full": "allkeys-lfu",
    }


def test_stats_tell_a_redis_that_does_not_answer(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.cache_stats.redis.available = False
    output = lstmserve("cache", "stats").stdout
    assert "127.0.0.1:6379, does not answer" in output
    assert "in use" not in output
    fake.cache_stats.ClearField("redis")
    assert "not configured" in lstmserve("cache", "stats").stdout


def test_stats_of_an_unlimited_redis(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.cache_stats.redis.max_bytes = 0
    assert "1.5 MiB without a limit" in lstmserve("cache", "stats").stdout


def test_stats_without_a_cache(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.cache_stats = cache_pb.GetCacheStatsResponse()
    result = lstmserve("cache", "stats")
    assert result.exit_code == 0
    assert result.stdout == "no cache is configured: every reply is generated\n"
    [line] = lstmserve("cache", "stats", "--json").stdout.splitlines()
    assert json.loads(line)["enabled"] is False


def test_stats_as_json(lstmserve: Lstmserve) -> None:
    [line] = lstmserve("cache", "stats", "--json").stdout.splitlines()
    stats = json.loads(line)
    assert (stats["type"], stats["enabled"], stats["saved_seconds"]) == (
        "cache_stats",
        True,
        1234.5,
    )
    assert stats["stores"][0] == {
        "store": "memory",
        "kind": "reply",
        "hits": 1500,
        "misses": 500,
        "failures": 0,
        "stored": 7,
        "evicted": 2,
        "entries": 3210,
        "used_bytes": 53 << 20,
        "max_bytes": 64 << 20,
    }
    assert stats["redis"]["eviction_policy"] == "allkeys-lfu"


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (["--model", "a"], cache_pb.PurgeCacheRequest(model="a")),
        (["--model-version", "2"], cache_pb.PurgeCacheRequest(model_version="2")),
        (["--caller", ""], cache_pb.PurgeCacheRequest(caller="")),
        (["--tag", "spring"], cache_pb.PurgeCacheRequest(tag="spring")),
        (["--yes"], cache_pb.PurgeCacheRequest()),
    ],
    ids=lambda value: str(value).strip(),
)
def test_purge_drops_what_is_selected_and_tells_how_much(
    lstmserve: Lstmserve,
    fake: FakeServer,
    options: list[str],
    request_: cache_pb.PurgeCacheRequest,
) -> None:
    result = lstmserve("cache", "purge", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "dropped 1,200 entries from memory and 34 from Redis\n"
    assert fake.purges == [request_]


def test_a_script_that_purges_everything_must_say_so(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    result = lstmserve("cache", "purge", stdin="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: this drops everything; say so with --yes, or select with --model, "
        "--model-version or --caller\n"
    )
    assert fake.purges == []


def test_a_purge_that_fails_says_why(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.fail(grpc.StatusCode.PERMISSION_DENIED, "administrators only")
    result = lstmserve("cache", "purge", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: administrators only (request ")


def warmed(fake: FakeServer) -> dict[str, pb.GenerateReplyRequest]:
    return {request.prompt: request for request in fake.warmed}


def test_warm_stores_the_replies_to_each_line(
    lstmserve: Lstmserve, fake: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(
        b'\xef\xbb\xbfhi\r\n\n{"prompt": "why?", "sampling": {"seed": 5}, "model": "tiny"}\n'
    )
    result = lstmserve("cache", "warm", str(file), "--temperature", "0.5", "--max-tokens", "9")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(
        "2 prompts: 6 replies generated, 10 already stored, 0 prompts failed, "
    )
    stopping = pb.StoppingCriteria(max_tokens=9)
    assert warmed(fake) == {
        "hi": pb.GenerateReplyRequest(
            prompt="hi",
            sampling=pb.SamplingParams(temperature=0.5),
            stopping=stopping,
            priority=pb.PRIORITY_LOW,
        ),
        "why?": pb.GenerateReplyRequest(
            prompt="why?",
            model="tiny",
            sampling=pb.SamplingParams(temperature=0.5, seed=5),
            stopping=stopping,
            priority=pb.PRIORITY_LOW,
        ),
    }


def test_warm_reads_standard_input(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("cache", "warm", "-", stdin="né\nhi\n")
    assert result.exit_code == 0
    assert set(warmed(fake)) == {"né", "hi"}


def test_lines_that_fail_are_named_and_do_not_stop_the_others(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    wrong = details.BadRequest()
    wrong.field_violations.add(field="prompt", description="must have at most 9 tokens")
    fake.fail_to_warm("long", grpc.StatusCode.INVALID_ARGUMENT, "1 field", wrong)
    fake.fail_to_warm("bug", grpc.StatusCode.INTERNAL, "internal error")
    lines = '\nlong\nhi\nbug\n{"prompt": "seed", "sampling": {"seed": -1}}\nlast'
    result = lstmserve("cache", "warm", "-", "--concurrency", "1", stdin=lines)
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "5 prompts: 6 replies generated, 10 already stored, 3 prompts failed, "
    )
    long, bug, seed = result.stderr.splitlines()
    assert long == "line 2: invalid request: prompt: must have at most 9 tokens"
    assert bug.startswith("line 4: internal error (request ")
    assert seed.startswith("line 5: invalid request: sampling.seed: ")


def test_a_busy_server_is_asked_again(lstmserve: Lstmserve, fake: FakeServer) -> None:
    delay = details.RetryInfo(retry_delay=Duration(nanos=1_000_000))
    fake.fail_to_warm("hi", grpc.StatusCode.RESOURCE_EXHAUSTED, "full", delay, times=3)
    result = lstmserve("cache", "warm", "-", stdin="hi\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [request.prompt for request in fake.warmed] == ["hi"] * 4


def test_a_file_with_bad_lines_is_not_begun(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("cache", "warm", "-", stdin='hi\n{"promt": "hi"}\n{\n')
    assert (result.exit_code, result.stdout, fake.warmed) == (2, "", [])
    key, syntax = result.stderr.splitlines()
    assert key.startswith('error: line 2: unknown key "promt"; known are prompt, ')
    assert syntax.startswith("error: line 3: not valid JSON: ")


def test_a_file_that_is_no_text_is_refused(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("cache", "warm", "-", stdin=b"\xff\xfe")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: the input is not UTF-8 text\n"


def test_a_file_that_cannot_be_read_is_named(lstmserve: Lstmserve, tmp_path: Path) -> None:
    result = lstmserve("cache", "warm", "no/such/file")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: cannot read no/such/file: No such file or directory\n"
    assert lstmserve("cache", "warm", str(tmp_path)).stderr.endswith(": Is a directory\n")


def test_a_server_without_a_cache_is_not_warmed(lstmserve: Lstmserve, fake: FakeServer) -> None:
    fake.cache_stats = cache_pb.GetCacheStatsResponse()
    result = lstmserve("cache", "warm", "-", stdin="hi\n")
    assert (result.exit_code, result.stdout, fake.warmed) == (1, "", [])
    assert result.stderr == ("error: no cache is configured on the server: it would keep nothing\n")


@pytest.mark.parametrize(
    "verb", [["stats"], ["purge", "--yes"], ["warm", "-"]], ids=lambda verb: verb[0]
)
def test_without_a_server_every_verb_says_how_to_start_one(
    lstmserve: Lstmserve, dead_target: str, verb: list[str]
) -> None:
    result = lstmserve("cache", *verb, "--target", dead_target, stdin="hi\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: no server answers at {dead_target} (")
    assert result.stderr.count("\n") == 1

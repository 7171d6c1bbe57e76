"""What errors of Redis mean, and when refusals are told."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, ResponseError

from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis.problems import Asked, Refusals, classify, explain


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("READONLY You can't write against a read only replica.", Problem.READONLY),
        ("READONLY You can't write against a read only replica. script: ab1", Problem.READONLY),
        ("ERR Error running script (call to f_ab): @user_script:3: @user_script: 3: -READONLY You",
         Problem.READONLY),
        ("LOADING Redis is loading the dataset in memory", Problem.LOADING),
        ("MASTERDOWN Link with MASTER is down", Problem.MASTERDOWN),
        ("CLUSTERDOWN Hash slot not served", Problem.CLUSTERDOWN),
        ("MOVED 3999 127.0.0.1:6381", Problem.MOVED),
        ("MISCONF Redis is configured to save RDB snapshots", Problem.MISCONF),
        ("NOREPLICAS Not enough good replicas to write.", Problem.NOREPLICAS),
        ("OOM command not allowed when used memory > 'maxmemory'.", Problem.OOM),
        ("@user_script: 3: -OOM command not allowed", Problem.OOM),
        ("NOPERM this user has no permissions to run the 'set' command", Problem.NOPERM),
        ("ERR The user executing the script can't run this command", Problem.NOPERM),
        ("ACL failure in script: User u has no permissions to run the 'set' command",
         Problem.NOPERM),
        ("ACL failure in script: No permissions to access a key script: ab1", Problem.NOPERM),
        ("BUSY Redis is busy running a script.", Problem.BUSY),
        ("WRONGTYPE Operation against a key", Problem.WRONGTYPE),
        ("WRONGPASS invalid username-password pair", Problem.CREDENTIALS),
        ("NOAUTH Authentication required.", Problem.CREDENTIALS),
        ("ERR DB index is out of range", Problem.OTHER),
        ("ERR unknown command 'OOM'", Problem.OTHER),
    ],
)  # fmt: skip
def test_an_error_means(text: str, problem: Problem) -> None:
    """As redis-py raises it, and as a script hands it over."""
    assert classify(BaseParser.parse_error(text)) is problem
    if problem is not Problem.CREDENTIALS:  # nothing that a script could get
        assert classify(ResponseError(text)) is problem


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (TimeoutError(), Problem.TIMEOUT),
        (ConnectionRefusedError(), Problem.CONNECTION),
        (RedisConnectionError("Connection closed by server."), Problem.CONNECTION),
        (RedisClusterException("cannot be connected"), Problem.CONNECTION),
        (KeyError(), Problem.OTHER),
    ],
)
def test_no_answer_means(error: Exception, problem: Problem) -> None:
    assert classify(error) is problem


@pytest.mark.parametrize("strange", [ValueError("not enough values to unpack"), KeyError("run_id")])
def test_a_strange_answer_is_told_in_words_of_ours(strange: Exception) -> None:
    assert "none of Redis" in explain(strange)
    assert str(strange) not in explain(strange)
    assert explain(ResponseError("ERR no")) == "ERR no"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_refusals_are_told_when_they_begin_and_when_they_have_ended_for_a_while() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    assert refusals.grant(Asked.WRITE) is None
    assert refusals.refuse(Problem.OOM, Asked.LOOKUP)
    assert not refusals.refuse(Problem.OOM, Asked.WRITE)
    assert refusals.refuse(Problem.NOPERM, Asked.FIND)  # another reason
    seconds = refusals.grant(Asked.LOOKUP)
    assert seconds == 1.0
    assert refusals.end() == []
    clock.now += seconds
    assert refusals.end() == [(Problem.OOM, 2)]
    assert refusals.end() == []
    assert refusals.grant(Asked.FIND) == 1.0
    assert refusals.end() == [(Problem.NOPERM, 1)]


def test_what_was_not_tried_again_has_not_ended() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.refuse(Problem.NOPERM, Asked.WRITE)
    refusals.refuse(Problem.READONLY, Asked.WRITE)
    assert refusals.grant(Asked.FIND) is None  # reads only
    assert refusals.grant(Asked.LOOKUP) == 1.0  # writes, too
    clock.now = 60.0
    assert refusals.end() == [(Problem.READONLY, 1)]


def test_what_comes_and_goes_is_told_less_and_less() -> None:
    """As of a cluster of which one node is full."""
    clock = Clock()
    refusals = Refusals(clock)
    lines = 0
    for _ in range(10_000):
        lines += refusals.refuse(Problem.OOM, Asked.WRITE)
        clock.now += 1.5
        refusals.grant(Asked.WRITE)
        lines += len(refusals.end())
    assert lines == 3  # began, ended, began again; no 2 s without a refusal since
    clock.now += 3600
    assert len(refusals.end()) == 1
    assert refusals.refuse(Problem.OOM, Asked.WRITE)

"""Whoever the caller says its user is, is told apart from others, and named in no log."""

from __future__ import annotations

from hashlib import sha256

import pytest

from benchmarks.testbed.waiting import until
from lstmserve_server.openai_api.reading import read_request
from support.openai_api import Api


def read_user(**fields: str) -> str:
    return read_request({"prompt": "hello", **fields}, is_chat=False).user


@pytest.mark.parametrize("user", ["ann", "a.b-c_9", "a" * 64])
def test_what_can_be_an_id_is_one(user: str) -> None:
    assert read_user(user=user) == user
    assert read_user(safety_identifier=user) == user
    assert read_user(user=user, safety_identifier=user) == user


def test_one_of_the_two_that_says_nothing_leaves_the_other() -> None:
    assert read_user(user="", safety_identifier="ann") == "ann"
    assert read_user(user="ann", safety_identifier="") == "ann"


@pytest.mark.parametrize(
    "user", ["ann@example.com", "Ann Lee", "\u00e9", "a" * 65, "a" * 512, "\n", "\x00", "a/b", " "]
)
def test_any_other_text_is_one_by_its_digest(api: Api, user: str) -> None:
    digest = sha256(user.encode()).hexdigest()
    assert read_user(user=user) == read_user(safety_identifier=user) == digest
    for is_streamed in (False, True):
        message = {"prompt": "hi", "max_tokens": 2, "user": user, "stream": is_streamed}
        assert api.post("/completions", message).status == 200


def test_the_digest_is_in_the_log_and_the_user_is_not(api: Api) -> None:
    client = api.client()
    asked = {"model": "tiny", "prompt": "hi", "max_tokens": 2}
    client.completions.create(**asked, user="secret.ann@example.com")
    client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=2,
        safety_identifier="secret.bob@example.com",
    )
    digests = {sha256(f"secret.{name}@example.com".encode()).hexdigest() for name in ("ann", "bob")}
    process = api.served.process
    until(
        lambda: digests <= {entry.get("caller") for entry in process.read_entries()},
        "their lines in the log",
    )
    assert "secret." not in process.read_log()
    assert "example.com" not in process.read_log()

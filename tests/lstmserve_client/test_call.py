"""What goes with every attempt of a call."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lstmserve_client import CallOptions
from lstmserve_client.call import make_call
from lstmserve_client.config import make_config
from lstmserve_client.keywords import ClientOptions


def metadata_of(options: ClientOptions, **call: Any) -> dict[str, str]:  # noqa: ANN401 - options by name
    made = make_call(make_config("127.0.0.1:1", **options), CallOptions(**call))
    return dict(made.make_metadata())


def test_a_call_says_who_makes_it_and_what_it_is_called() -> None:
    sent = metadata_of(
        {"caller": "shop", "token": "t", "metadata": {"X-Team": "a"}},
        request_id="mine",
        metadata={"x-trace": "b"},
    )
    assert sent == {
        "authorization": "Bearer t",
        "x-caller-id": "shop",
        "x-request-id": "mine",
        "x-team": "a",
        "x-trace": "b",
    }


def test_what_is_not_given_is_not_sent_but_a_name_always_is() -> None:
    first, second = metadata_of({}), metadata_of({})
    assert set(first) == set(second) == {"x-request-id"}
    assert first != second


def test_a_call_says_over_what_its_client_says() -> None:
    sent = metadata_of({"metadata": {"x-team": "a", "x-kept": "b"}}, metadata={"x-team": "c"})
    assert (sent["x-team"], sent["x-kept"]) == ("c", "b")


def test_a_token_is_asked_for_at_each_attempt() -> None:
    tokens = iter(["first", "second"])
    call = make_call(make_config("127.0.0.1:1", token=lambda: next(tokens)), {})
    sent = [dict(call.make_metadata())["authorization"] for _ in range(2)]
    assert sent == ["Bearer first", "Bearer second"]


def test_a_token_that_cannot_be_sent_is_refused_without_being_shown() -> None:
    call = make_call(make_config("127.0.0.1:1", token=lambda: "secret\n"), {})
    with pytest.raises(ValueError, match=r"^token: ") as raised:
        call.make_metadata()
    assert "secret" not in str(raised.value)


def test_a_function_that_gives_no_token_is_told() -> None:
    call = make_call(make_config("127.0.0.1:1", token=lambda: None), {})
    with pytest.raises(TypeError, match=r"^token: must be text, not NoneType$"):
        call.make_metadata()


def test_a_token_is_not_shown_by_its_call() -> None:
    call = make_call(make_config("127.0.0.1:1", token="secret"), {})
    assert "secret" not in repr(call)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 7.0), (0.5, 0.5), (math.inf, math.inf)], ids=str
)
def test_a_call_without_a_time_has_its_clients(timeout: float | None, seconds: float) -> None:
    config = make_config("127.0.0.1:1", timeout_seconds=7.0)
    assert make_call(config, {"timeout_seconds": timeout}).timeout_seconds == seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout_seconds", 0.0),
        ("timeout_seconds", -1.0),
        ("timeout_seconds", math.nan),
        ("request_id", "two words"),
        ("request_id", "x" * 65),
        ("metadata", {"authorization": "Bearer x"}),
    ],
)
def test_an_option_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        make_call(make_config("127.0.0.1:1"), {name: value})  # type: ignore[misc]  # by name

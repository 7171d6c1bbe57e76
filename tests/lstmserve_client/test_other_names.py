"""What users of other libraries write by habit: errors say what it is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lstmserve_client import AsyncClient, Client, ClientOptions, WholeReplyOptions
from lstmserve_client.other_names import ADDRESSES, ADVICE, OPTIONS, TEXTS
from lstmserve_client.testing import FakeService

CLIENTS = pytest.mark.parametrize("client", [Client, AsyncClient])


def told(call: Callable[..., Any], *arguments: object, **options: object) -> str:
    with pytest.raises(TypeError) as raised:
        call(*arguments, **options)
    return str(raised.value)


@pytest.mark.parametrize(
    ("advice", "name"),
    [
        ("use max_tokens", "max_completion_tokens"),
        ("use max_tokens", "max_new_tokens"),
        ("use max_tokens", "max_length"),
        ("use stop", "stop_sequences"),
        ("use constraint=JsonSchema(...)", "response_format"),
        ("use constraint=JsonSchema(...)", "json_schema"),
        ("use constraint=Regex(...)", "regex"),
        ("use constraint=Choices([...])", "choices"),
        ("use constraint=Grammar(...)", "grammar"),
        ("generate() always streams, and reply() never does", "stream"),
        ("models here were trained without instructions", "system"),
        ("models here call no tools", "tools"),
        ("use caller of Client(...)", "user"),
        ("use token of Client(...)", "api_key"),
        ("it is an option of reply_many()", "concurrency"),
        ("it is an option of conversation()", "max_turns"),
        ("temperature=0 takes the likeliest token", "do_sample"),
        ("there is no beam search", "num_beams"),
        ("use target, such as Client(", "base_url"),
        ("use retry=RetryPolicy(max_attempts=...) of Client(...)", "max_retries"),
    ],
)
def test_a_name_of_another_library_is_told_by_its_name_here(advice: str, name: str) -> None:
    client = FakeService().client()
    for method in (client.reply, client.generate, client.conversation().reply):
        assert told(method, "hi", **{name: 5}).startswith(
            f"{name}: {method.__name__}() has no such option; {advice}"
        )


def test_several_replies_are_asked_of_the_method_that_gives_them() -> None:
    client = FakeService().client()
    for name in ("n", "num_return_sequences"):
        assert told(client.generate, "hi", **{name: 2}).endswith("; use num_replies of reply()")
        assert told(client.reply, "hi", **{name: 2}).endswith("; use num_replies")
    assert told(client.generate, "hi", best_of=2).endswith("; it is an option of reply()")


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_text_by_any_other_name_is_told_by_the_right_one(name: str) -> None:
    client = FakeService().client()
    chat = client.conversation()
    methods: list[tuple[Callable[..., Any], str]] = [
        (client.reply, "prompt"),
        (client.generate, "prompt"),
        (client.classify, "prompt"),
        (client.reply_many, "prompts"),
        (client.classify_many, "prompts"),
        (chat.reply, "text"),
        (chat.generate, "text"),
        (client.conversation, "turns"),
    ]
    for method, first in methods:
        if name != first:
            wanted = f"{name}: {method.__name__}() has no such option; use {first}"
            assert told(method, **{name: ["hi"]}) == wanted
    assert told(Client, **{name: "hi"}).endswith("; it is for reply() and generate()")


async def test_a_text_by_another_name_is_told_on_a_loop() -> None:
    client = FakeService().async_client()
    for method in (client.reply, client.classify):
        with pytest.raises(TypeError, match=r"^messages: \w+\(\) has no such option; use prompt$"):
            await method(messages=[])  # type: ignore[call-arg]
    assert told(client.generate, question="hi").endswith("; use prompt")


def test_a_text_for_a_method_that_takes_none_is_told_where_it_goes() -> None:
    client = FakeService().client()
    with pytest.raises(TypeError, match=r"no such option; it is for reply\(\) and generate\(\)"):
        client.models(prompt="hi")  # type: ignore[call-arg]


def test_what_is_missing_or_has_no_name_is_told() -> None:
    client = FakeService().client()
    assert told(client.reply) == "prompt: is missing; reply() cannot do without it"
    assert told(client.load_model, "a") == "version: is missing; load_model() cannot do without it"
    alone = "takes prompt alone without a name; name the others, such as timeout=3"
    assert told(client.reply, "hi", 0.5) == f"reply() {alone}"
    assert told(client.models, "a").startswith("models() takes nothing without a name")


@CLIENTS
@pytest.mark.parametrize("name", sorted(ADDRESSES - {"target"}))
def test_an_address_by_any_other_name_is_told(client: type, name: str) -> None:
    advice = "Client(...) has no such option; use target"
    assert told(client, **{name: "127.0.0.1:1"}).startswith(f"{name}: {advice}")


@CLIENTS
@pytest.mark.parametrize(
    ("advice", "name"),
    [
        ("use token", "api_key"),
        ("use metadata", "headers"),
        ("use retry=RetryPolicy(max_attempts=...)", "max_retries"),
        ("tls=Tls(...) of Client(...) encrypts", "insecure"),
        ("tls=Tls(...) of Client(...) encrypts", "secure"),
        ("tls=Tls(...) of Client(...) encrypts", "verify"),
        ("it is an option of reply(), generate()", "model"),
    ],
)
def test_an_option_of_other_clients_is_told(client: type, advice: str, name: str) -> None:
    assert f"{name}: Client(...) has no such option; {advice}" in told(client, **{name: 1})


@CLIENTS
def test_host_and_port_are_one_text(client: type) -> None:
    assert 'one text, such as Client("127.0.0.1:50051")' in told(client, "127.0.0.1", 50051)


def test_every_name_is_told_once_and_leads_to_one_of_ours() -> None:
    ours = ClientOptions.__optional_keys__ | WholeReplyOptions.__optional_keys__
    names = [*OPTIONS, *ADVICE, *TEXTS, *ADDRESSES]
    assert len(names) == len(set(names))
    assert not ours & set(names)
    assert set(OPTIONS.values()) <= ours

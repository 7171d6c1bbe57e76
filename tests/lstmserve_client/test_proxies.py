"""Proxies that the environment names, which gRPC goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lstmserve_client.channel import channel_options
from lstmserve_client.config import make_config

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, variable: str, method: str
) -> None:
    monkeypatch.setenv(variable, NOBODY)
    assert call(method, "hi")


@pytest.mark.parametrize("target", ["models.internal:50051", "10.0.0.1:50051", "dns:///models:1"])
def test_others_are_asked_as_the_environment_says(target: str) -> None:
    options = dict(channel_options(make_config(target), target, checked=True))
    assert "grpc.enable_http_proxy" not in options

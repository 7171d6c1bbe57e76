"""Changing what a server serves: by both clients, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_client import InvalidRequestError, ModelStateError, ResumeError

if TYPE_CHECKING:
    from conftest import Lstmserve
    from support.fake_server import FakeServer

NAMED = {"name": "support-en", "version": "3"}
CHANGES = {
    "load_model": pb.LoadModelRequest,
    "unload_model": pb.UnloadModelRequest,
    "verify_model": pb.VerifyModelRequest,
    "set_default_model": pb.SetDefaultModelRequest,
}


@pytest.mark.parametrize("method", CHANGES)
def test_a_change_names_a_version_and_gives_its_card(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    fake.model.traffic_share = 0.25
    card = call(method, *NAMED.values())
    assert fake.changes == [CHANGES[method](**NAMED)]
    assert (card.name, card.version, card.traffic_share) == ("support-en", "3", 0.25)


def test_without_a_version_the_policy_chooses_the_default(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    call("set_default_model", "support-en")
    assert fake.changes == [pb.SetDefaultModelRequest(name="support-en")]


def test_traffic_is_dealt_out_by_weights(call: Callable[..., Any], fake: FakeServer) -> None:
    [card] = call("split_traffic", "support-en", {"2": 90, "3": 10})
    [request] = fake.changes
    assert isinstance(request, pb.SetTrafficSplitRequest)
    assert [(each.version, each.weight) for each in request.weights] == [("2", 90), ("3", 10)]
    assert card.name == "support-en"


def test_a_weight_below_zero_is_named(call: Callable[..., Any], fake: FakeServer) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        call("split_traffic", "support-en", {"2": -1})
    assert [violation.field for violation in raised.value.violations] == ["weights"]
    assert not fake.changes


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("MODEL_LOAD_FAILED", ModelStateError),
        ("MODEL_NEEDED", ModelStateError),
        ("RESUME_MISMATCH", ResumeError),
    ],
)
def test_what_cannot_be_done_is_told_by_its_reason(
    call: Callable[..., Any], fake: FakeServer, reason: str, error: type[Exception]
) -> None:
    details = ErrorInfo(reason=reason, domain="lstmserve")
    fake.fail(grpc.StatusCode.FAILED_PRECONDITION, "model.pt: its SHA-256 differs", details)
    with pytest.raises(error, match="SHA-256"):
        call("load_model", *NAMED.values())


@pytest.mark.parametrize("verb", ["load", "unload", "set-default"])
def test_a_verb_shows_the_version_as_it_is_then(
    lstmserve: Lstmserve, fake: FakeServer, verb: str
) -> None:
    fake.model.state, fake.model.traffic_share = pb.MODEL_STATE_UNLOADING, 0.5
    result = lstmserve("models", verb, "support-en", "3")
    [row] = [line for line in result.stdout.splitlines() if "support-en" in line]
    assert all(cell in row for cell in (" 3 ", " unloading ", " 50% "))
    assert (result.exit_code, len(fake.changes)) == (0, 1)
    [card] = map(
        json.loads, lstmserve("models", verb, "support-en", "3", "--json").stdout.split("\n")[:1]
    )
    assert (card["state"], card["traffic_share"]) == ("unloading", 0.5)


def test_a_good_version_is_called_good(lstmserve: Lstmserve) -> None:
    result = lstmserve("models", "verify", "support-en", "3")
    assert (result.exit_code, result.stdout) == (0, "support-en version 3 is good\n")


def test_a_bad_version_fails_the_command_with_the_reason(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    fake.fail(grpc.StatusCode.FAILED_PRECONDITION, "model.pt: its SHA-256 differs")
    result = lstmserve("models", "verify", "support-en", "3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "SHA-256" in result.stderr


def test_traffic_from_the_command_line(lstmserve: Lstmserve, fake: FakeServer) -> None:
    assert lstmserve("models", "traffic", "support-en", "2=90", "3=10").exit_code == 0
    assert lstmserve("models", "traffic", "support-en").exit_code == 0
    split, none = fake.changes
    assert isinstance(split, pb.SetTrafficSplitRequest)
    assert [(each.version, each.weight) for each in split.weights] == [("2", 90), ("3", 10)]
    assert none == pb.SetTrafficSplitRequest(name="support-en")


@pytest.mark.parametrize("weights", [("2",), ("=3",), ("2=x",), ("2=1", "2=2"), ("2=-1",)])
def test_weights_that_are_none_are_refused(
    lstmserve: Lstmserve, fake: FakeServer, weights: tuple[str, ...]
) -> None:
    result = lstmserve("models", "traffic", "support-en", *weights)
    assert result.exit_code == 2
    assert not fake.changes


def test_an_option_before_the_verb_is_refused_and_not_ignored(
    lstmserve: Lstmserve, fake: FakeServer
) -> None:
    result = lstmserve("models", "--json", "load", "support-en", "3")
    assert (result.exit_code, fake.changes) == (2, [])
    assert "options stand after" in result.stderr

"""Names of versions and weights, and the fields that are wrong."""

from __future__ import annotations

import pytest

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.rpc.card import to_version_id, to_weights
from lstmserve_server.store.shares import MAX_WEIGHT

BAD_VERSIONS = ["", "0", "01", "-1", "+1", " 1", "1.0", "1e3", "one", "latest", "٣"]
BAD_VERSIONS += ["9223372036854775808", "9" * 5000]


def refused_fields(error: InvalidRequestError) -> list[str]:
    return [violation.field for violation in error.violations]


def weigh(*weights: tuple[str, int]) -> list[pb.VersionWeight]:
    return [pb.VersionWeight(version=version, weight=weight) for version, weight in weights]


def test_a_version_is_a_model_and_a_number() -> None:
    request = pb.LoadModelRequest(name="a", version="9223372036854775807")
    assert to_version_id(request) == ("a", 2**63 - 1)


@pytest.mark.parametrize("version", BAD_VERSIONS)
def test_what_is_no_number_of_a_version_is_refused(version: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_version_id(pb.LoadModelRequest(name="a", version=version))
    assert refused_fields(caught.value) == ["version"]
    with pytest.raises(InvalidRequestError) as caught:
        to_weights(weigh(("1", 1), (version, 1)))
    assert refused_fields(caught.value) == ["weights[1].version"]


def test_a_model_must_be_named() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_version_id(pb.UnloadModelRequest(version="1"))
    assert refused_fields(caught.value) == ["name"]


def test_weights_are_by_version() -> None:
    assert to_weights([]) == {}
    assert to_weights(weigh(("2", 80), ("10", MAX_WEIGHT), ("3", 0))) == {2: 80, 10: 10_000, 3: 0}


def test_a_version_named_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="twice") as caught:
        to_weights(weigh(("2", 1), ("3", 1), ("2", 1)))
    assert refused_fields(caught.value) == ["weights[2].version"]


@pytest.mark.parametrize("weight", [0, MAX_WEIGHT + 1, 2**32 - 1])
def test_weights_that_nothing_can_be_dealt_by_are_refused(weight: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_weights(weigh(("2", weight)))
    assert refused_fields(caught.value) == ["weights"]

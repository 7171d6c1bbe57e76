"""Models as OpenAI's API lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_server.openai_api.errors import ApiError

# one version of a model; a name alone is the version that the server chooses
SEPARATOR = "/"
_ID = re.compile(r"(?P<name>[^/:]*)[/:](?P<version>[^/:]*)")


def split_id(identifier: str) -> tuple[str, str]:
    """Return the name and the version in NAME, NAME/VERSION or NAME:VERSION."""
    found = _ID.fullmatch(identifier)
    return (found["name"], found["version"]) if found else (identifier, "")


def join_id(name: str, version: str) -> str:
    """Return what names one version."""
    return f"{name}{SEPARATOR}{version}"


def list_models(cards: Iterable[pb.Model]) -> dict[str, Any]:
    """Return the names that answer, each before its versions that do."""
    ready = [card for card in cards if card.state == pb.MODEL_STATE_READY]
    found: dict[str, pb.Model] = {}
    for card in ready:
        if card.name not in found:
            own = [each for each in ready if each.name == card.name]
            found[card.name] = max(own, key=lambda each: each.traffic_share)
        found[join_id(card.name, card.version)] = card
    return {"object": "list", "data": [describe_model(*item) for item in found.items()]}


def describe_model(identifier: str, card: pb.Model) -> dict[str, Any]:
    """Return one of them: made when its version was, or at 0 where that is not known."""
    created = card.create_time.seconds
    return {"id": identifier, "object": "model", "created": created, "owned_by": "lstmserve"}


def check_ready(card: pb.Model, identifier: str) -> None:
    """Raise ApiError for a version that does not answer."""
    if card.state != pb.MODEL_STATE_READY:
        raise ApiError(
            404,
            f"model {identifier!r} is not served now; GET /v1/models lists those that are",
            code="model_not_found",
            param="model",
        )

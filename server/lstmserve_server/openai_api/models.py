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
    identifiers: dict[str, None] = {}
    for card in cards:
        if card.state == pb.MODEL_STATE_READY:
            identifiers[card.name] = None
            identifiers[join_id(card.name, card.version)] = None
    return {"object": "list", "data": [describe_model(each) for each in identifiers]}


def describe_model(identifier: str) -> dict[str, Any]:
    """Return one of them; nobody knows when it was made."""
    return {"id": identifier, "object": "model", "created": 0, "owned_by": "lstmserve"}


def check_ready(card: pb.Model, identifier: str) -> None:
    """Raise ApiError for a version that does not answer."""
    if card.state != pb.MODEL_STATE_READY:
        raise ApiError(
            404,
            f"model {identifier!r} is not served now; GET /v1/models lists those that are",
            code="model_not_found",
            param="model",
        )

"""What the server says of our own fields, in the words of who asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.rpc.error_details_pb2 import BadRequest

from lstmserve_server.errors import FieldViolation
from lstmserve_server.openai_api.counts import tell_of

METHOD = re.compile(r"^/?lstmserve\.v1\.\w+/\w+")
# what is called otherwise over gRPC
WORDS: Mapping[str, str] = {
    "the metadata 'authorization: Bearer": "the header 'Authorization: Bearer",
    "stopping.max_tokens": "max_tokens",
    "; Classify and the event Classification tell how probable the label is": "",
    "ListModels tells them": "GET /v1/models lists them",
}


def rename(
    violation: BadRequest.FieldViolation, places: Mapping[str, str], counts: Mapping[str, int]
) -> FieldViolation:
    """Name the place where the caller wrote what our field holds."""
    description = reword(violation.description)
    if violation.field in counts:
        description = tell_of(counts[violation.field], description)
    name, bracket, index = violation.field.partition("[")
    if name == "conversation.turns" and bracket:  # which messages[] are not all of
        number, _, field = index.partition("]")
        place = places[f"{name}[{number}]"]
        return FieldViolation(f"{place}{field.replace('.text', '.content')}", description)
    return FieldViolation(f"{places.get(name, name)}{bracket}{index}", description)


def reword(text: str) -> str:
    """Return what the server says in the words of this API."""
    text = METHOD.sub("this request", text)
    for ours, theirs in WORDS.items():
        text = text.replace(ours, theirs)
    return text

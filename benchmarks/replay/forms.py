"""Forms that replayed requests ask for, and what tells whether a reply keeps one.

What tells it is of the standard library, and not what the server uses.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from lstmserve.v1 import generation_service_pb2 as pb

LEAST_TOKENS = 64  # that a request with a form may have: enough for each of them
CHOICES = ("yes, of course", "no", "I do not know", "您好")
TICKET = {
    "type": "object",
    "properties": {
        "topic": {"enum": ["order", "refund", "other"]},
        "urgent": {"type": "boolean"},
        "numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "note": {"type": "string", "maxLength": 40},
    },
    "required": ["topic", "urgent", "numbers"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "under": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "under"],
    "additionalProperties": False,
}
SUMS = """
start: product (("+" | "-") product)*
product: factor (("*" | "/") factor)*
factor: /[1-9][0-9]{0,3}/ | "(" start ")"
"""


@dataclass(frozen=True)
class TriedForm:
    """A constraint, and whether a text keeps it."""

    constraint: pb.Constraint
    is_kept: Callable[[str], object]


def _is_ticket(text: str) -> bool:
    found = json.loads(text)
    is_known = found["topic"] in TICKET["properties"]["topic"]["enum"]  # type: ignore[index]
    return is_known and type(found["urgent"]) is bool and set(map(type, found["numbers"])) == {int}


def _is_tree(text: str) -> bool:
    def is_node(node: dict[str, object]) -> bool:
        under = node["under"]
        return (
            isinstance(node["name"], str) and isinstance(under, list) and all(map(is_node, under))
        )

    return is_node(json.loads(text))


def _is_sum(text: str) -> object:
    """A sum is an expression of Python's, too."""
    return re.fullmatch(r"[0-9()+*/-]+", text) and ast.parse(text, mode="eval")


FORMS = (
    TriedForm(
        pb.Constraint(regex="[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch,
    ),
    TriedForm(
        pb.Constraint(regex="[A-Z][a-z ,]{10,129}[.!?]"),
        re.compile(r"[A-Z][a-z ,]{10,129}[.!?]").fullmatch,
    ),
    TriedForm(pb.Constraint(choices=pb.Choices(choices=CHOICES)), CHOICES.__contains__),
    TriedForm(pb.Constraint(json_schema=json.dumps(TICKET)), _is_ticket),
    TriedForm(pb.Constraint(json_schema=json.dumps(TREE)), _is_tree),
    TriedForm(pb.Constraint(grammar=SUMS), _is_sum),
)


def is_kept(form: TriedForm, text: str) -> bool:
    """Return whether a text keeps a form."""
    try:
        return bool(form.is_kept(text))
    except (ValueError, SyntaxError, KeyError, TypeError):
        return False

"""Forms that a reply can be asked to keep; it always does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that the whole reply matches, by the syntax of Rust's crate regex."""

    pattern: str
    prompt_characters: int = field(default=0, kw_only=True)  # see Form


@dataclass(frozen=True, slots=True)
class Choices:
    """Texts of which the reply is one.

    Raises TypeError for one text, of which each letter would be a choice.
    """

    texts: Sequence[str]
    prompt_characters: int = field(default=0, kw_only=True)  # see Form

    def __post_init__(self) -> None:
        if isinstance(self.texts, str):
            raise TypeError('Choices: must be several texts, such as ["yes", "no"], not one')


class JsonModel(Protocol):
    """A class of pydantic's, or any other that has a JSON schema and reads its values."""

    def model_json_schema(self) -> dict[str, Any]:
        """Return the schema."""

    def model_validate_json(self, text: str) -> Any:  # noqa: ANN401 - an object of the class
        """Return the object of a value."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A JSON schema of which the reply is a value, which ``Reply.parsed`` has.

    ``schema`` is a class of pydantic's, whose objects are then parsed; or the schema itself, as a
    mapping or as text.
    """

    schema: type | Mapping[str, Any] | str
    prompt_characters: int = field(default=0, kw_only=True)  # see Form

    @property
    def text(self) -> str:
        """The schema on the wire; raises TypeError for what is none."""
        if isinstance(self.schema, str):
            return self.schema
        if isinstance(self.schema, Mapping):
            return json.dumps(dict(self.schema))
        if hasattr(self.schema, "model_json_schema"):
            return json.dumps(cast("JsonModel", self.schema).model_json_schema())
        raise TypeError(
            "JsonSchema: must be a pydantic model, a mapping or text, not "
            f"{type(self.schema).__name__}"
        )

    def parse(self, text: str) -> Any:  # noqa: ANN401 - whatever the schema describes
        """Return the value of a whole reply."""
        if isinstance(self.schema, type):
            return cast("JsonModel", self.schema).model_validate_json(text)
        return json.loads(text)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A context-free grammar that the reply keeps, in the syntax of Lark as llguidance reads it."""

    text: str
    prompt_characters: int = field(default=0, kw_only=True)  # see Form


@dataclass(frozen=True, slots=True)
class Form:
    """A form that the version names; ``Model.forms`` lists them.

    ``prompt_characters`` says how many characters at the end of the prompt belong to the text that
    keeps the form: the reply goes on from there.
    """

    name: str
    prompt_characters: int = field(default=0, kw_only=True)


Constraint: TypeAlias = Regex | Choices | JsonSchema | Grammar | Form
"""A form that the reply keeps, always."""

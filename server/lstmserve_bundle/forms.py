"""constraints.json: forms that replies may be asked to keep, by the names that requests give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, JsonValue, RootModel, ValidationError, model_validator

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.files import size_of
from lstmserve_bundle.manifest import StrictModel, describe

if TYPE_CHECKING:
    from pathlib import Path

FORMS_NAME = "constraints.json"
MAX_BYTES = 1 << 20
MAX_FORMS = 64
MAX_REGEX_BYTES = 8192
MAX_GRAMMAR_BYTES = 1 << 16  # and of a JSON schema
MAX_CHOICES = 1024
MAX_CHOICE_CHARACTERS = 1024

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Choice = Annotated[str, Field(min_length=1, max_length=MAX_CHOICE_CHARACTERS)]


class NamedForm(StrictModel):
    """What a reply must satisfy.

    It matches a regular expression as a whole, is one of some texts, is a value of a JSON schema,
    or keeps a grammar.
    """

    regex: Annotated[str, Field(min_length=1, max_length=MAX_REGEX_BYTES)] | None = None
    choices: Annotated[list[Choice], Field(min_length=1, max_length=MAX_CHOICES)] | None = None
    json_schema: dict[str, JsonValue] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR_BYTES)] | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> NamedForm:
        kinds = (self.regex, self.choices, self.json_schema, self.grammar)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("must have one of regex, choices, json_schema and grammar")
        return self


class _Forms(RootModel[Annotated[dict[Name, NamedForm], Field(max_length=MAX_FORMS)]]):
    pass


def parse_forms(data: bytes | str, where: str) -> dict[str, NamedForm]:
    """Check and read forms; raises ManifestError naming ``where`` and each bad key."""
    try:
        return _Forms.model_validate_json(data).root
    except ValidationError as error:
        raise ManifestError(f"{where}: {describe(error, FORMS_NAME)}") from None


def read_forms(path: Path) -> dict[str, NamedForm]:
    """Read ``constraints.json``; raises ManifestError when it cannot be used."""
    try:
        if size_of(path) > MAX_BYTES:
            raise ManifestError(f"{path}: forms have at most {MAX_BYTES} bytes")
        return parse_forms(path.read_bytes(), str(path))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None

"""constraints.json: forms that replies may be asked to keep, by the names that requests give.

Under ``$classes`` it may name classes of characters, for which ``{{name}}`` stands in the regular
expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.files import decode_text, size_of
from lstmserve_bundle.manifest import StrictModel, describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMS_NAME = "constraints.json"
MAX_BYTES = 1 << 20
MAX_FORMS = 64
MAX_REGEX_BYTES = 8192  # of one that a request brings
MAX_OWN_REGEX_BYTES = 1 << 16  # of a version's own
MAX_GRAMMAR_BYTES = 1 << 16  # and of a JSON schema
MAX_CLASSES = 256
MAX_CHOICES = 1024
MAX_CHOICE_CHARACTERS = 1024

CLASSES_KEY = "$classes"
REFERENCE = re.compile(r"\{\{([a-z][a-z0-9_-]*)\}\}")
# what stands for several characters by itself, and would tell characters of one class apart
BESIDE_CLASSES = re.compile(r"[\[\].^$\\]|\(\?(?!:)")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Choice = Annotated[str, Field(min_length=1, max_length=MAX_CHOICE_CHARACTERS)]
Characters = Annotated[str, Field(pattern=r"^[^\x00]+$")]
Classes = Annotated[dict[Name, Characters], Field(max_length=MAX_CLASSES)]


class NamedForm(StrictModel):
    """What a reply must satisfy.

    It matches a regular expression as a whole, is one of some texts, is a value of a JSON schema,
    or keeps a grammar.
    """

    regex: Annotated[str, Field(min_length=1, max_length=MAX_OWN_REGEX_BYTES)] | None = None
    choices: Annotated[list[Choice], Field(min_length=1, max_length=MAX_CHOICES)] | None = None
    json_schema: dict[str, JsonValue] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR_BYTES)] | None = None
    # of characters, by the names that the regular expression refers to
    classes: Classes = Field(default={})
    with_prompt: bool = False  # whether prompt and reply together must satisfy it

    @model_validator(mode="after")
    def _is_one_of_them(self) -> NamedForm:
        kinds = (self.regex, self.choices, self.json_schema, self.grammar)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("must have one of regex, choices, json_schema and grammar")
        return self

    def with_classes(self, shared: Mapping[str, str]) -> NamedForm:
        """Return the form with the classes that it refers to; raises ValueError."""
        names = set(REFERENCE.findall(self.regex or ""))
        known = {**shared, **self.classes}
        for name in sorted(names - known.keys()):
            raise ValueError(f"refers to {{{{{name}}}}}, which is no class of characters")
        strange = BESIDE_CLASSES.search(self.regex or "") if names else None
        if strange is not None:
            raise ValueError(
                f"has {strange.group()!r} beside classes; there characters stand for themselves, "
                "and (), |, ?, *, + and {m,n} make more of them"
            )
        return self.model_copy(update={"classes": {name: known[name] for name in sorted(names)}})


class _Forms(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, NamedForm] = Field(init=False)
    classes: Classes = Field(default={}, alias=CLASSES_KEY)

    @model_validator(mode="after")
    def _are_complete(self) -> _Forms:
        forms = _NAMES.validate_python(self.__pydantic_extra__)
        for name, form in forms.items():
            try:
                self.__pydantic_extra__[name] = form.with_classes(self.classes)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return self


_NAMES = TypeAdapter(Annotated[dict[Name, NamedForm], Field(max_length=MAX_FORMS)])


def parse_forms(text: str, where: str) -> dict[str, NamedForm]:
    """Check and read forms; raises ManifestError naming ``where`` and each bad key."""
    try:
        return _Forms.model_validate_json(text).__pydantic_extra__
    except ValidationError as error:
        raise ManifestError(f"{where}: {describe(error, FORMS_NAME)}") from None


def read_forms(path: Path) -> dict[str, NamedForm]:
    """Read ``constraints.json``; raises ManifestError when it cannot be used."""
    try:
        if size_of(path) > MAX_BYTES:
            raise ManifestError(f"{path}: forms have at most {MAX_BYTES} bytes")
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from None
    return parse_forms(text, str(path))

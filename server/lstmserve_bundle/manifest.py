"""manifest.json: everything about a model version that is not weights.

The schema is strict: an unknown key, a wrong type or a value out of range is an error
that names the key. Nothing here reads any other file.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.files import decode_text, parse_json, size_of

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
MAX_VERSION = (
    1 << 63
) - 1  # as TensorFlow Serving and Triton have it: time stamps are versions, too
MAX_BYTES = 1 << 20  # two hundred times what any has; it is read as a whole

# Elementwise kernels take 32 floats at a time and leave the rest of a tensor to scalar code
# that rounds differently. Rows of a multiple of 64 leave no rest, also to each of two threads.
ROW_STEP = 64

ROLES = frozenset({"user", "agent"})

PositiveInt = Annotated[int, Field(gt=0)]
RowLength = Annotated[int, Field(gt=0, multiple_of=ROW_STEP)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
# 1 MiB: a batch of 64 works on 64 MiB of states; whoever loads a version bounds what is kept of one
MAX_STATE = (1 << 18) + ROW_STEP  # with what families with attention count
# a plain name: a manifest must not reach out of its folder
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
# what a page offers at a click; longer ones would hide the rest of it
ExamplePrompt = Annotated[str, Field(min_length=1, max_length=1000)]
MAX_EXAMPLE_PROMPTS = 8
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StrictModel(BaseModel):
    """A part of a version's own files."""

    # a manifest is data from outside: nothing is coerced, nothing unknown is dropped
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SizesManifest(StrictModel):
    """Shapes; ``state`` is the number of float32 values in one sequence's state row."""

    vocabulary: RowLength
    hidden: RowLength
    layers: PositiveInt
    state: Annotated[int, Field(gt=0, le=MAX_STATE)]
    parameters: PositiveInt


class QuantizationManifest(StrictModel):
    """How floats became integers; activations use one static scale (never the batch's)."""

    scheme: Literal["static-7bit-activations-int8-weights"]
    activation_scale: Annotated[float, Field(gt=0)]
    activation_zero_point: Annotated[int, Field(ge=0, le=127)]


class LimitsManifest(StrictModel):
    """Upper bounds on what one request may ask of this model."""

    max_prompt_tokens: PositiveInt
    max_tokens: PositiveInt


def _check_roles(tokens: dict[str, str]) -> dict[str, str]:
    if tokens and tokens.keys() != ROLES:
        raise ValueError(f"must have the roles {', '.join(sorted(ROLES))}, and no others, or none")
    return tokens


class TemplateManifest(StrictModel):
    """Turn markers. ``labels`` names the special tokens a reply may carry (intents).

    Without roles (``{}`` and an empty ``reply_role``) the model goes on with a text, and
    ``end_token`` stands before each text as well as after it.
    """

    role_tokens: Annotated[dict[str, str], AfterValidator(_check_roles)]
    reply_role: str
    end_token: str
    labels: dict[str, str] = {}

    @model_validator(mode="after")
    def _reply_role_is_a_role(self) -> TemplateManifest:
        has_roles = bool(self.role_tokens or self.reply_role)
        if has_roles and self.reply_role not in self.role_tokens:
            raise ValueError(f"reply_role {self.reply_role!r} is not among role_tokens")
        return self


class SamplingManifest(StrictModel):
    """The model's own sampling defaults, used for every field a request leaves out."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_tokens: PositiveInt = 128


class FileManifest(StrictModel):
    sha256: Sha256
    size_bytes: PositiveInt


class DataManifest(StrictModel):
    """One source of training text; ``files`` holds a SHA-256 of each file that was read."""

    name: str
    source: str
    license: str
    use: str
    files: dict[str, Sha256] = {}


class TrainingManifest(StrictModel):
    """Where the weights come from; ``recipe`` is the command that makes them again.

    ``steps`` and ``tokens`` are 0 where the weights came from elsewhere.
    """

    data: list[DataManifest]
    recipe: str
    seed: int
    steps: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=0)]
    facts: dict[str, float | int | str] = {}


class CreationManifest(StrictModel):
    at: str
    tool: str
    torch: str


class Manifest(StrictModel):
    """One version of one model."""

    schema_version: Literal[1]
    name: Name
    version: Annotated[int, Field(gt=0, le=MAX_VERSION)]
    family: Name  # of networks: to be told; all have one contract
    description: str
    license: str
    sizes: SizesManifest
    quantization: QuantizationManifest
    limits: LimitsManifest
    template: TemplateManifest
    sampling: SamplingManifest
    files: dict[FileName, FileManifest]
    training: TrainingManifest
    evaluation: dict[str, float | int | str]
    example_prompts: Annotated[list[ExamplePrompt], Field(max_length=MAX_EXAMPLE_PROMPTS)] = []
    created: CreationManifest

    @model_validator(mode="after")
    def _defaults_are_within_the_limits(self) -> Manifest:
        if self.sampling.max_tokens > self.limits.max_tokens:
            raise ValueError("sampling.max_tokens is above limits.max_tokens")
        if self.sampling.top_k > self.sizes.vocabulary:
            raise ValueError("sampling.top_k is above sizes.vocabulary")
        return self

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that can change a reply: files, template, sizes, defaults.

        Evaluation figures and descriptions may be worded anew without it changing.
        """
        parts = self.model_dump(
            include={"family", "sizes", "quantization", "template", "sampling", "files"}
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def parse_manifest(text: str, where: str) -> Manifest:
    """Check and read a manifest; raises ManifestError naming ``where`` and each bad key."""
    try:
        return Manifest.model_validate(parse_json(text))
    except ValidationError as error:
        raise ManifestError(f"{where}: {describe(error, 'manifest')}") from None
    except ValueError as error:
        raise ManifestError(f"{where}: {error}") from None


def read_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``; raises ManifestError when missing or wrong."""
    path = folder / MANIFEST_NAME
    try:
        if size_of(path) > MAX_BYTES:
            raise ManifestError(f"{path}: a manifest has at most {MAX_BYTES} bytes")
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from None
    return parse_manifest(text, str(path))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest.model_dump(), indent=2, ensure_ascii=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def describe(error: ValidationError, document: str) -> str:
    """Return each bad key of a document of a version with what is wrong, in one line."""
    problems = (
        f"{'.'.join(map(str, problem['loc'])) or document}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )
    return "; ".join(problems)

"""A verified model version: its manifest, its tokenizer and where its weights are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lstmserve_bundle.answers import ANSWERS_NAME, Answers, read_answers
from lstmserve_bundle.classifier import Classifier
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.errors import ChecksumError, ManifestError, TokenizerError
from lstmserve_bundle.faq import FAQ_NAME, Faq
from lstmserve_bundle.files import size_of
from lstmserve_bundle.fingerprint import FINGERPRINT_NAME, Fingerprint, read_fingerprint
from lstmserve_bundle.forms import FORMS_NAME, NamedForm, read_forms
from lstmserve_bundle.manifest import FileManifest, Manifest, read_manifest
from lstmserve_bundle.template import PromptTemplate
from lstmserve_bundle.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODEL_NAME = "model.pt"
TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True)
class Bundle:
    """A version whose files all match their checksums."""

    folder: Path
    manifest: Manifest
    tokenizer: Tokenizer
    template: PromptTemplate
    fingerprint: Fingerprint | None = None  # None: the version was published without one
    answers: Answers | None = None  # None: the version has no words but the model's
    forms: Mapping[str, NamedForm] = field(default_factory=dict)  # that requests may name

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_NAME

    def read_classifier(self) -> Classifier | None:
        """What names the questions; None where the version has none. Raises ClassifierError."""
        is_published = CLASSIFIER_NAME in self.manifest.files
        return Classifier.read(self.folder / CLASSIFIER_NAME) if is_published else None

    def read_faq(self) -> Faq | None:
        """What finds a company's own questions; None where there are none. Raises FaqError."""
        is_published = FAQ_NAME in self.manifest.files
        return Faq.read(self.folder / FAQ_NAME) if is_published else None


def describe_file(path: Path) -> FileManifest:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileManifest(sha256=digest, size_bytes=path.stat().st_size)


def open_bundle(folder: Path) -> Bundle:
    """Verify and open a version; raises a BundleError that says what is wrong with it."""
    manifest = verify_bundle(folder)
    tokenizer = Tokenizer.from_file(folder / TOKENIZER_NAME)
    if tokenizer.num_tokens != manifest.sizes.vocabulary:
        raise TokenizerError(
            f"{folder / TOKENIZER_NAME}: {tokenizer.num_tokens} tokens, but the manifest's "
            f"sizes.vocabulary is {manifest.sizes.vocabulary}"
        )
    template = PromptTemplate(manifest.template, tokenizer)
    has_fingerprint = FINGERPRINT_NAME in manifest.files  # one that nobody published says nothing
    fingerprint = read_fingerprint(folder / FINGERPRINT_NAME) if has_fingerprint else None
    has_answers = ANSWERS_NAME in manifest.files
    answers = read_answers(folder / ANSWERS_NAME) if has_answers else None
    forms = read_forms(folder / FORMS_NAME) if FORMS_NAME in manifest.files else {}
    for name, form in forms.items():
        if form.with_prompt and template.has_roles:
            raise ManifestError(
                f"{folder / FORMS_NAME}: {name}: with_prompt is for models that go on with a text, "
                "and this one replies to turns"
            )
    return Bundle(folder, manifest, tokenizer, template, fingerprint, answers, forms)


def verify_bundle(folder: Path) -> Manifest:
    """Whether all files are as published; raises a BundleError.

    Nothing of the model or its tokenizer is read yet, so that nothing in them can do harm.
    """
    manifest = read_manifest(folder)
    missing = {MODEL_NAME, TOKENIZER_NAME} - manifest.files.keys()
    if missing:
        raise ManifestError(f"{folder}: the manifest's files lack {', '.join(sorted(missing))}")
    for name, expected in manifest.files.items():
        _verify_file(folder / name, expected)
    return manifest


def _verify_file(path: Path, expected: FileManifest) -> None:
    try:
        size_bytes = size_of(path)
        # what has another size is not read: there may be no end to it
        is_same = size_bytes == expected.size_bytes and describe_file(path) == expected
    except OSError as error:
        raise ChecksumError(f"{path}: cannot be read: {error.strerror or error}") from None
    if size_bytes != expected.size_bytes:
        raise ChecksumError(
            f"{path}: {size_bytes} bytes instead of the {expected.size_bytes} in its "
            "manifest: truncated or replaced; publish or copy the version again"
        )
    if not is_same:
        raise ChecksumError(
            f"{path}: its SHA-256 is not the one in its manifest: changed after it was "
            "published; publish or copy the version again"
        )

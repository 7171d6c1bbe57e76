"""A model version on disk: written by training, read by the server."""

from lstmserve_bundle.answers import Answers
from lstmserve_bundle.bundle import Bundle, open_bundle, verify_bundle
from lstmserve_bundle.calibration import Classification
from lstmserve_bundle.classifier import Classifier
from lstmserve_bundle.detokenizer import IncrementalDetokenizer
from lstmserve_bundle.errors import (
    BundleError,
    ChecksumError,
    ClassifierError,
    ManifestError,
    TokenizerError,
)
from lstmserve_bundle.faq import Faq
from lstmserve_bundle.forms import NamedForm
from lstmserve_bundle.manifest import Manifest
from lstmserve_bundle.template import PromptTemplate, Turn
from lstmserve_bundle.tokenizer import Tokenizer

__all__ = [
    "Answers",
    "Bundle",
    "BundleError",
    "ChecksumError",
    "Classification",
    "Classifier",
    "ClassifierError",
    "Faq",
    "IncrementalDetokenizer",
    "Manifest",
    "ManifestError",
    "NamedForm",
    "PromptTemplate",
    "Tokenizer",
    "TokenizerError",
    "Turn",
    "open_bundle",
    "verify_bundle",
]

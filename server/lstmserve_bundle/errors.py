"""What can be wrong with a model version on disk, or with its store.

BundleError
├── ManifestError      manifest.json is missing, unreadable, or breaks the schema
├── ChecksumError      a file is missing or is not the one that was published
├── TokenizerError     tokenizer.json cannot serve this manifest
├── ClassifierError    classifier.bin is none
├── FaqError           faq.bin is none
└── DefaultModelError  the store's DEFAULT_MODEL names no model
"""


class BundleError(Exception):
    """A model version that must not be loaded. The text names the file and what to do."""


class ManifestError(BundleError):
    """manifest.json is missing, is not JSON, or breaks the schema."""


class ChecksumError(BundleError):
    """A file of the bundle is missing or differs from what was published."""


class TokenizerError(BundleError):
    """tokenizer.json is unreadable, or lacks a token the manifest names."""


class ClassifierError(BundleError):
    """A classifier cannot be read."""


class FaqError(BundleError):
    """An index of questions cannot be read."""


class DefaultModelError(BundleError):
    """The file that names a store's default model cannot be read, or names no model."""

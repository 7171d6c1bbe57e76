"""What lies in a model store, ``<model>/<version>/manifest.json``, and its default model.

Looks at names and kinds of files: whether a version is a good one, nobody has verified yet.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lstmserve_bundle.errors import DefaultModelError, ManifestError
from lstmserve_bundle.files import size_of
from lstmserve_bundle.manifest import MANIFEST_NAME, MAX_VERSION, read_manifest

# no model can have this name, nor can a version: both are lower case, or digits
DEFAULT_NAME = "DEFAULT_MODEL"
MAX_DEFAULT_BYTES = 256  # a model's name has at most 64
VERSION = re.compile(r"[1-9][0-9]{0,18}")  # one spelling per number
VERSION_RULE = f"a version is a whole number from 1 to {MAX_VERSION}, without leading zeros"
# v2, 03, 1e3, 1.0, -4: whoever made such a folder beside versions meant one
MEANT_AS_VERSION = re.compile(r"[vV+-]?\d.*")
DIGITS = re.compile(r"\d+")
COPYING_SUFFIX = ".part"  # of a version that is renamed once it is complete
NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # gone meanwhile, or a link to nothing


def is_version(text: str) -> bool:
    """Whether it is the number of a version, as it is spelled."""
    return VERSION.fullmatch(text) is not None and int(text) <= MAX_VERSION


@dataclass(slots=True)
class StoreContents:
    """What one look at a store found."""

    versions: dict[str, list[int]] = field(default_factory=dict)
    """Every model's versions, newest first, models by name."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """What cannot be served though somebody may think it is: its path in the store, and why."""


def look_into(store: Path) -> StoreContents:
    """All models and versions; raises OSError when the store itself cannot be read.

    What cannot be read within it, such as lost+found, which is root's, hides no model beside it.
    """
    found = StoreContents()
    for model in sorted(_visible(store)):
        name = _printable(model)
        try:
            numbers, strangers = _look_into_model(model)
        except OSError as error:
            numbers, strangers = [], {"": error.strerror or str(error)}
        if numbers:
            found.versions[name] = sorted(numbers, reverse=True)
        for path, reason in strangers.items():
            found.passed_over[f"{name}/{path}" if path else name] = reason
    return found


def only_model(store: Path, versions: Mapping[str, Iterable[int]]) -> str:
    """The one model there is; a copy of one under another name is none. Empty: none, or several."""
    if len(versions) == 1:
        return next(iter(versions))
    own = [
        name
        for name, numbers in versions.items()
        if any(_is_of(store / name / str(number), name, number) for number in numbers)
    ]
    return own[0] if len(own) == 1 else ""


def read_default(store: Path) -> str:
    """The model that the store names as its default; empty when it names none.

    Raises DefaultModelError when what is there is no name, or cannot be read.
    """
    path = store / DEFAULT_NAME
    try:
        if not _is_there(path) and not path.is_symlink():
            return ""
        is_short = size_of(path) <= MAX_DEFAULT_BYTES
        words = path.read_text(encoding="utf-8-sig", errors="replace").split() if is_short else []
    except OSError as error:
        raise DefaultModelError(f"{path}: cannot be read: {error.strerror}") from None
    if len(words) != 1:
        raise DefaultModelError(f"{path}: must hold the name of one model and nothing else")
    return words[0]


def write_default(store: Path, name: str) -> Path:
    """Make a model the default of a store, whole or not at all; returns the file that says so."""
    path = store / DEFAULT_NAME
    partial = store / f".{DEFAULT_NAME}-{os.getpid()}"
    partial.write_text(name + "\n", encoding="utf-8")
    partial.chmod(0o644)  # another user's server reads it
    partial.rename(path)
    return path


def _is_of(version: Path, name: str, number: int) -> bool:
    """Whether a version's own manifest says that it is this version of this model."""
    try:
        manifest = read_manifest(version)
    except ManifestError:
        return False
    return (manifest.name, manifest.version) == (name, number)


def _printable(path: Path) -> str:
    """A file's name, as it can be told: Linux allows any bytes."""
    return path.name if path.name.isprintable() else ascii(path.name)[1:-1]


def _visible(folder: Path) -> list[Path]:
    """What a folder holds; hidden names are no business of ours, whatever they are."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _look_into_model(model: Path) -> tuple[list[int], dict[str, str]]:
    """The numbers of its versions; and what is none, with the reason, the folder itself as ''."""
    if not _is_folder(model):
        return [], {}
    numbers, strangers = list[int](), dict[str, str]()
    for path in sorted(_visible(model)):
        if reason := _why_not(path):
            strangers[_printable(path)] = reason
        elif is_version(path.name):
            numbers.append(int(path.name))
    if numbers and not model.name.isprintable():
        return [], {"": "its name cannot be told on the wire"}
    if not numbers and _is_there(model / MANIFEST_NAME):
        return [], {"": f"it holds {MANIFEST_NAME} itself; versions are <model>/<version>"}
    return numbers, strangers


def _why_not(path: Path) -> str:
    """Why what is meant as a version is none; empty for versions, and for what is not meant so."""
    is_folder = _is_folder(path)
    has_manifest = is_folder and _has_manifest(path)
    pattern = MEANT_AS_VERSION if is_folder else DIGITS  # notes-2.txt is a file like any other
    is_meant = has_manifest or pattern.fullmatch(path.name)
    if not is_meant or path.name.endswith(COPYING_SUFFIX):
        return ""
    if not is_version(path.name):
        return VERSION_RULE
    if not is_folder:
        return "it is not a folder"
    return "" if has_manifest else f"it has no {MANIFEST_NAME}"


def _is_folder(path: Path) -> bool:
    """Whether it is one, or a link to one; raises OSError when that cannot be told."""
    found = _stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _has_manifest(folder: Path) -> bool:
    """Also where that cannot be told at the moment: then loading the version says why."""
    try:
        return _is_there(folder / MANIFEST_NAME)
    except OSError:
        return True


def _is_there(path: Path) -> bool:
    return _stat(path) is not None


def _stat(path: Path) -> os.stat_result | None:
    """None when there is nothing; raises OSError when that cannot be told."""
    try:
        return path.stat()
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise

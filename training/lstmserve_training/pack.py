"""``pack``: fills in what can be computed of the manifest of a version that was made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.bundle import MODEL_NAME, TOKENIZER_NAME, describe_file, open_bundle
from lstmserve_bundle.errors import BundleError
from lstmserve_bundle.files import decode_text, parse_json
from lstmserve_bundle.manifest import MANIFEST_NAME, parse_manifest, write_manifest
from lstmserve_bundle.store import is_version
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.describe import NOT_STATED, make_creation
from lstmserve_training.errors import MissingInputError, PublishError
from lstmserve_training.export import load_module

if TYPE_CHECKING:
    from lstmserve_bundle.manifest import Manifest

NOT_ALWAYS_THERE: dict[str, Any] = {
    "schema_version": 1,
    "family": "stacked-lstm",
    "description": "",
    "evaluation": {},
    "sampling": {},
    "training": {"data": [], "recipe": NOT_STATED, "seed": 0, "steps": 0, "tokens": 0},
}


def pack(folder: Path) -> Manifest:
    """Write sizes, checksums and whatever else is missing into ``manifest.json``.

    Raises PublishError naming what nobody but the user can know.
    """
    where = folder.resolve()
    if not is_version(where.name):
        raise PublishError(f"{folder}: must be the folder of a version, STORE/NAME/NUMBER")
    for name in (MODEL_NAME, TOKENIZER_NAME, MANIFEST_NAME):
        if not (folder / name).is_file():
            raise MissingInputError(f"{folder / name} is missing")
    document = {**NOT_ALWAYS_THERE, **_read(folder / MANIFEST_NAME)}
    try:
        document |= {"name": where.parent.name, "version": int(where.name)}
        document["sizes"] = {**document.get("sizes", {}), **_measure(folder)}
        document["files"] = _describe_files(folder)
        document.setdefault("created", make_creation().model_dump())
        manifest = parse_manifest(json.dumps(document), str(folder / MANIFEST_NAME))
        write_manifest(folder, manifest)
        return open_bundle(folder).manifest
    except BundleError as error:
        raise PublishError(str(error)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = parse_json(decode_text(path.read_bytes()))
    except ValueError as error:
        raise PublishError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise PublishError(f"{path}: must be an object")
    return document


def _measure(folder: Path) -> dict[str, int]:
    """What the module and the tokenizer themselves say."""
    module = load_module(folder / MODEL_NAME)
    found = {
        "vocabulary": Tokenizer.from_file(folder / TOKENIZER_NAME).num_tokens,
        "state": int(module.initial_state(1).shape[1]),
    }
    parameters = sum(tensor.numel() for tensor in module.state_dict().values())
    return found | ({"parameters": parameters} if parameters else {})


def _describe_files(folder: Path) -> dict[str, Any]:
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith(".")
    )
    return {name: describe_file(folder / name).model_dump() for name in names}

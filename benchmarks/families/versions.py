"""A version of each family, of weights that nobody has trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from lstmserve_bundle.bundle import MODEL_NAME, TOKENIZER_NAME, describe_file, open_bundle
from lstmserve_bundle.manifest import write_manifest
from lstmserve_training.export import export
from lstmserve_training.families import FAMILIES, make_model, quantize_model
from lstmserve_training.model import LanguageModel, ModelConfig

SIZES = {
    "stacked": ModelConfig(0, 64),
    "projected": ModelConfig(0, 128, projection=64),
    "hybrid": ModelConfig(0, 64, attention=64, heads=2, window=64),
    "attentive": ModelConfig(0, 64, layers=1, attention=128, heads=4, window=64),
    "transformer": ModelConfig(0, 64, layers=2, attention=64, heads=2, window=64),
}


def make_network(family: str, num_tokens: int, **changes: object) -> LanguageModel:
    """Return a network whose weights are random, and large enough for its replies to vary."""
    torch.manual_seed(5)
    config = replace(SIZES[family], num_tokens=num_tokens, family=family, dropout=0.0, **changes)  # type: ignore[arg-type]
    model = make_model(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "slopes" not in name and "steepness" not in name:
                parameter.mul_(2)
        # what it projects is served by how large that was while it trained
        model.train()(torch.randint(num_tokens, (8, 32)), None)
    return model.eval()


def make_family_version(source: Path, store: Path, family: str, **changes: int) -> Path:
    """Put a version of a family into a store; it has the tokenizer and turns of the source.

    It has nothing else of it: no classifier and no words of its own.
    """
    bundle = open_bundle(source)
    folder = store / family / "1"
    folder.mkdir(parents=True)
    asked, *_, reply = bundle.template.render_prompt("")
    turns = {"pauses": (reply,), "resumes": (asked,)} if family == "attentive" else {}
    changed: dict[str, object] = {**changes, **turns}
    sizes = bundle.manifest.sizes
    module = quantize_model(make_network(family, sizes.vocabulary, **changed), ())
    export(module, folder / MODEL_NAME)
    shutil.copy(source / TOKENIZER_NAME, folder)
    state = int(module.initial_state(1).shape[1])
    updated = {
        "name": family,
        "version": 1,
        "family": FAMILIES[family].name,
        "sizes": sizes.model_copy(update={"state": state}),
        "files": {name: describe_file(folder / name) for name in (MODEL_NAME, TOKENIZER_NAME)},
    }
    write_manifest(folder, bundle.manifest.model_copy(update=updated))
    return folder

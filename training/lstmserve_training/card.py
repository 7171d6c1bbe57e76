"""The model's card: what a store tells people about a model, written from its manifest."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstmserve_bundle.manifest import DataManifest, Manifest

CARD_NAME = "README.md"
MARK = "<!-- written by lstmserve-train publish; remove this line to keep your own words -->"
OF_CLASSIFIER = "classifier_"
MODELS = ("fp32", "stock_int8", "int8")


def write_card(folder: Path, manifest: Manifest, words: str) -> Path | None:
    """Write ``README.md`` of a model; None where somebody has written one of their own."""
    path = folder / CARD_NAME
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return None
    path.write_text(make_card(manifest, words), encoding="utf-8")
    return path


def make_card(manifest: Manifest, words: str) -> str:
    """Markdown; ``words`` are the recipe's own."""
    sizes, training = manifest.sizes, manifest.training
    network = f"{sizes.layers} x {sizes.hidden} {manifest.family}, {sizes.vocabulary:,} tokens"
    parts = [
        MARK,
        f"# {manifest.name}\n",
        f"{manifest.description or 'No description was given.'}\n",
        *_examples(manifest.example_prompts),
        "| | |\n|---|---|",
        f"| version | {manifest.version}, made {manifest.created.at} |",
        f"| license | {_cell(manifest.license)} |",
        f"| network | {network}, {sizes.parameters:,} parameters |",
        f"| trained | {training.steps:,} steps, {training.tokens:,} tokens, seed {training.seed} |",
        f"| made by | `{training.recipe}` |\n",
        "## Text\n",
        *[_describe_source(source) for source in training.data],
        "\n## Measured\n",
        "| measure | fp32 | stock dynamic INT8 | this (INT8) |\n|---|---:|---:|---:|",
        *_rows(manifest.evaluation),
        *_classifier_rows(manifest.evaluation),
        "",
    ]
    return "\n".join(parts) + (f"\n{words.strip()}\n" if words.strip() else "")


def _examples(prompts: list[str]) -> list[str]:
    """Prompts to try, each as a block: spaces and newlines in it matter."""
    blocks = (textwrap.indent(prompt, "    ", lambda _: True) for prompt in prompts)
    return ["Prompts to try:\n", *(f"{block}\n" for block in blocks)] if prompts else []


def _describe_source(source: DataManifest) -> str:
    return f"- {source.name}: {source.source}; license: {source.license}; {source.use}"


def _rows(evaluation: dict[str, float | int | str]) -> list[str]:
    names = [key.removesuffix("_fp32") for key in evaluation if key.endswith("_fp32")]
    # what is measured of the served model alone
    names += [key.removesuffix("_int8") for key in evaluation if key.startswith("written_")]
    return [
        f"| {name.replace('_', ' ')} | "
        + " | ".join(_show(evaluation.get(f"{name}_{model}", "")) for model in MODELS)
        + " |"
        for name in names
    ]


def _classifier_rows(evaluation: dict[str, float | int | str]) -> list[str]:
    found = {key: value for key, value in evaluation.items() if key.startswith(OF_CLASSIFIER)}
    head = ["\n| measure of the classifier | |\n|---|---:|"] if found else []
    names = {key: key.removeprefix(OF_CLASSIFIER).replace("_", " ") for key in found}
    return [*head, *(f"| {names[key]} | {_show(value)} |" for key, value in found.items())]


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if float(value).is_integer() else f"{value:,.4g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

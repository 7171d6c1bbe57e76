"""``compare``: runs side by side: settings that differ, measures, curves, and replies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from lstmserve_bundle.template import PromptTemplate
from lstmserve_training.errors import DataError, MissingInputError, TrainingError
from lstmserve_training.evaluate import INT8, STOCK_INT8
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.toml import flatten, write_value
from lstmserve_training.samples import choose_prompts
from lstmserve_training.talking import open_talker
from lstmserve_training.work import (
    EVALUATION_NAME,
    LOG_NAME,
    RECIPE_NAME,
    read_template,
    read_tokenizer,
)

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe

REPLY_TOKENS = 40


@dataclass(frozen=True)
class PastRun:
    """A run, and what it has left so far."""

    folder: Path
    recipe: Recipe
    log: list[dict[str, Any]]
    measures: dict[str, float | int | str]

    @property
    def name(self) -> str:
        return self.folder.name


def open_run(folder: Path) -> PastRun:
    """Raises MissingInputError for a folder that is none of a run."""
    if not (folder / RECIPE_NAME).is_file():
        raise MissingInputError(
            f"{folder}: is no folder of a run; those are in runs/ beside the recipe"
        )
    path = folder / EVALUATION_NAME
    evaluation = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    recipe = read_recipe(folder / RECIPE_NAME)
    return PastRun(folder, recipe, _read_log(folder / LOG_NAME), evaluation.get("measures", {}))


def _read_log(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise DataError(f"{path}: a line is not JSON: {error}") from None


def make_comparison(runs: Sequence[PastRun]) -> Table:
    """A column per run: settings that differ, perplexity so far, measures of what is served."""
    table = Table("", *(escape(run.name) for run in runs))
    for key, values in _different_settings(runs):
        table.add_row(escape(key), *map(escape, values))
    table.add_section()
    for key, values in _progress(runs):
        table.add_row(escape(key), *values)
    table.add_section()
    keys = dict.fromkeys(key for run in runs for key in run.measures if key.endswith(f"_{INT8}"))
    for key in (key for key in keys if not key.endswith(f"_{STOCK_INT8}")):
        values = [_show(run.measures.get(key)) for run in runs]
        table.add_row(key.removesuffix(f"_{INT8}").replace("_", " "), *values)
    return table


def _different_settings(runs: Sequence[PastRun]) -> Iterator[tuple[str, list[str]]]:
    flat = [flatten(run.recipe.model_dump()) for run in runs]
    for key in dict.fromkeys(key for each in flat for key in each):
        values = [write_value(each[key]) if each.get(key) is not None else "" for each in flat]
        if len(set(values)) > 1:
            yield key, values


def _progress(runs: Sequence[PastRun]) -> Iterator[tuple[str, list[str]]]:
    epochs = [[line for line in run.log if "epoch" in line] for run in runs]
    yield "epochs", [str(lines[-1]["epoch"]) if lines else "0" for lines in epochs]
    kinds = (kind for lines in epochs for line in lines for kind in line["perplexity"])
    for kind in dict.fromkeys(kinds):
        found = [[line["perplexity"].get(kind) for line in lines] for lines in epochs]
        best = [min((value for value in each if value), default=None) for each in found]
        yield f"lowest held-out perplexity, {kind}", [_show(value) for value in best]


def compare_replies(runs: Sequence[PastRun], prompts: Sequence[str]) -> Table:
    """A row per prompt, a column per run; greedy, so that chance is no difference."""
    asked = list(prompts) or [text for text, _ in _own_prompts(runs[0])]
    table = Table("prompt", *(escape(run.name) for run in runs), show_lines=True)
    columns = [_replies(run, asked) for run in runs]
    for text, replies in zip(asked, zip(*columns, strict=True), strict=True):
        table.add_row(escape(text), *map(escape, replies))
    return table


def _own_prompts(run: PastRun) -> list[tuple[str, list[int]]]:
    template = PromptTemplate(read_template(run.folder), read_tokenizer(run.folder))
    return choose_prompts(run.recipe, run.folder, template)


def _replies(run: PastRun, asked: Sequence[str]) -> list[str]:
    sampling = run.recipe.sampling.model_copy(update={"temperature": 0.0})
    talker = open_talker(run.recipe.model_copy(update={"sampling": sampling}), run.folder)
    render = talker.template.render_prompt
    return [talker.speaker.reply(render(text), 1, REPLY_TOKENS) for text in asked]


def plot(runs: Sequence[PastRun], path: Path) -> None:
    """Draw the training loss and held-out perplexity of each run over its steps."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise TrainingError("--plot needs a package; run: pip install matplotlib") from None
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, perplexity = figure.subplots(1, 2)
    for run in runs:
        steps = [line for line in run.log if "loss" in line]
        loss.plot(
            [line["step"] for line in steps], [line["loss"] for line in steps], label=run.name
        )
        epochs = [line for line in run.log if "epoch" in line]
        for kind in dict.fromkeys(kind for line in epochs for kind in line["perplexity"]):
            points = [(line["step"], line["perplexity"][kind]) for line in epochs]
            perplexity.plot(*zip(*points, strict=True), marker=".", label=f"{run.name}, {kind}")
    loss.set(xlabel="step", ylabel="training loss, nats")
    perplexity.set(xlabel="step", ylabel="held-out perplexity", yscale="log")
    for axes in (loss, perplexity):
        axes.legend()
        axes.grid(alpha=0.3)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise TrainingError(f"--plot {path}: {error}; such as curves.png or curves.svg") from None


def _show(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,}" if float(value).is_integer() else f"{value:,.4g}"

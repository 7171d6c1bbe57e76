"""A run: carries out steps, skips those whose inputs have not changed, and says so."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lstmserve_training.devices import describe_device, pick_device
from lstmserve_training.errors import TrainingError
from lstmserve_training.other_models import check_other_models
from lstmserve_training.recipe.toml import write_toml
from lstmserve_training.steps import (
    CLASSIFY,
    EVALUATE,
    IMPORT,
    PREPARE,
    PUBLISH,
    QUANTIZE,
    TRAIN,
    Records,
    Step,
    changes,
    digests,
    make_record,
    steps_of,
)
from lstmserve_training.work import (
    BEST_NAME,
    EARLIER_NAME,
    EVALUATION_NAME,
    FISHER_NAME,
    LAST_NAME,
    LOG_NAME,
    MODEL_NAME,
    PUBLISHED_NAME,
    RECIPE_NAME,
)

if TYPE_CHECKING:
    from rich.console import Console

    from lstmserve_training.recipe.schema import Recipe

OF_WEIGHTS = (
    *(BEST_NAME, LAST_NAME, LOG_NAME, EARLIER_NAME, FISHER_NAME),
    *(MODEL_NAME, EVALUATION_NAME),
)


class Run:
    """The steps of one recipe in one folder."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        work: Path,
        console: Console,
        *,
        command: str = "lstmserve-train run recipe.toml",
        device: str | None = None,
    ) -> None:
        """``folder`` is where the recipe's paths start; ``command`` makes the run again."""
        work.mkdir(parents=True, exist_ok=True)
        self.recipe, self.folder, self.work = recipe, folder, work
        self._console, self._command, self._device = console, command, device
        self._records = Records(work)

    def run_all(self) -> bool:
        """Take every step that has something to do; return whether there was one."""
        pick_device(self._device)  # before anything long starts
        (self.work / RECIPE_NAME).write_text(write_toml(self.recipe), encoding="utf-8")
        return sum([self.take(step) for step in steps_of(self.recipe)]) > 0

    def take(self, step: Step) -> bool:
        """Take one step, unless nothing it depends on has changed; return whether it was taken."""
        now = make_record(step, self.recipe, self.folder, self.work)
        before = self._records.get(step)
        changed = changes(before, now) if before else []
        if before and not changed and self._is_done(step):
            self._say(f"{step.name}: unchanged, skipped")
            return False
        for line in changed:
            self._say(f"{step.name}: {line}")
        if changed:
            self._say(f"{step.name}: {step.meaning}")
        if step is TRAIN and changed:
            self.set_weights_aside()
        self._records.put(step, now)  # whoever is interrupted knows what was under way
        started = time.monotonic()
        self._say(f"{step.name}: …")
        now.facts = self._carry_out(step)
        now.facts.setdefault("seconds", round(time.monotonic() - started, 1))
        now.outputs = digests(self.work, step.outputs)
        self._records.put(step, now)
        return True

    def warn_of_changes(self, step: Step) -> None:
        """Before one step alone: tell which of those before it are of another recipe."""
        steps = steps_of(self.recipe)
        for earlier in steps[: steps.index(step)]:
            before = self._records.get(earlier)
            if before and changes(
                before, make_record(earlier, self.recipe, self.folder, self.work)
            ):
                self._say(
                    f"note: the recipe or its data has changed for {earlier.name}: "
                    "'run' takes it in"
                )

    def set_weights_aside(self) -> None:
        """Move what was trained into a folder of its own: nothing is lost by another recipe.

        Raises TrainingError, and moves nothing, where the recipe could not train after it.
        """
        found = [name for name in OF_WEIGHTS if (self.work / name).exists()]
        if not found:
            return
        check_other_models(self.recipe, self.folder, self.work)
        number = 1 + sum(1 for _ in self.work.glob("old-*"))
        aside = self.work / f"old-{number}"
        aside.mkdir()
        for name in found:
            shutil.move(self.work / name, aside / name)
        self._records.put(TRAIN, None)
        self._say(f"train: the weights so far are kept in {aside}")

    def _is_done(self, step: Step) -> bool:
        if not self._records.is_whole(step):
            return False
        published = self._published()
        return step is not PUBLISH or bool(published and published.is_dir())

    def _published(self) -> Path | None:
        """The version that was noted as published, whether or not it is still there."""
        try:
            path = self.work / PUBLISHED_NAME
            found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
            return self.store / found["name"] / str(found["version"])
        except (OSError, ValueError):  # never, or killed while it wrote
            return None

    @property
    def store(self) -> Path:
        return self.folder / self.recipe.publish.store

    # --- the steps ------------------------------------------------------------------------

    def _carry_out(self, step: Step) -> dict[str, Any]:
        doers = {
            PREPARE.name: self._prepare,
            TRAIN.name: self._train,
            IMPORT.name: self._import,
            QUANTIZE.name: self._quantize,
            CLASSIFY.name: self._classify,
            EVALUATE.name: self._evaluate,
            PUBLISH.name: self._publish,
        }
        return doers[step.name]() or {}

    def _prepare(self) -> None:
        from lstmserve_training.data.report import show_report  # noqa: PLC0415
        from lstmserve_training.prepare import prepare  # noqa: PLC0415

        report = prepare(self.recipe, self.folder, self.work, self._say)
        show_report(report, self.folder, self._console)

    def _train(self) -> dict[str, Any]:
        from lstmserve_training.training_run import describe_end, train  # noqa: PLC0415

        seconds = train(self.recipe, self.folder, self.work, self._console, self._device)
        self._say(describe_end(self.work, self.recipe.training))
        device = pick_device(self._device)
        return {
            "device": describe_device(device),
            "training_torch": torch.__version__,
            "seconds": round(seconds, 1),
        }

    def _import(self) -> None:
        from lstmserve_training.importing.parity import lines  # noqa: PLC0415
        from lstmserve_training.importing.step import import_weights  # noqa: PLC0415

        if self.recipe.weights is None:
            raise TrainingError("the recipe has no section [weights]")
        weights = self.recipe.weights
        network, parity = import_weights(self.recipe, weights, self.folder, self.work)
        for part, name in network.names.items():
            self._say(f"import: the {part} is {name}")
        for line in lines(parity):
            self._say(line)

    def _quantize(self) -> None:
        from lstmserve_training.export import quantize_best  # noqa: PLC0415

        path = quantize_best(self.work)
        self._say(f"quantize: wrote {path}: {path.stat().st_size:,} bytes, checked bit by bit")

    def _classify(self) -> None:
        from lstmserve_training.classifying.report import show_report  # noqa: PLC0415
        from lstmserve_training.classifying.step import classify  # noqa: PLC0415

        if self.recipe.classifier is None:
            raise TrainingError("the recipe has no section [classifier]")
        section = self.recipe.classifier
        report = classify(self.recipe, section, self.folder, self.work, self._say)
        show_report(report, self._console)

    def _evaluate(self) -> None:
        from lstmserve_training.evaluate import MODELS, evaluate  # noqa: PLC0415
        from lstmserve_training.report import make_table  # noqa: PLC0415

        with self._console.status("reading") as status:
            measures = evaluate(self.recipe, self.work, status.update)
        self._console.print(make_table(measures, MODELS))

    def _publish(self) -> None:
        from lstmserve_training import proving  # noqa: PLC0415
        from lstmserve_training.describe import Publication  # noqa: PLC0415
        from lstmserve_training.publish import (  # noqa: PLC0415
            describe_default,
            is_in_store,
            next_version,
            publish,
            take_answers,
            take_forms,
        )

        if self.recipe.publish.answers:
            take_answers(self.folder / self.recipe.publish.answers, self.work)
        if self.recipe.publish.constraints:
            take_forms(self.folder / self.recipe.publish.constraints, self.work)
        version = next_version(self.store, self.recipe.name)
        publication = Publication(self.recipe, self.work, self.store, version, self._command)
        newest = replace(publication, version=version - 1)
        # a run that was killed may have published, but not come to note it
        if newest.target != self._published() and is_in_store(newest):
            publication = newest
        said = ["that was done before it was interrupted"]
        target = publish(publication, lambda folder: said.append(proving.prove(folder)))
        found = {"name": self.recipe.name, "version": publication.version}
        (self.work / PUBLISHED_NAME).write_text(json.dumps(found), encoding="utf-8")
        self._say(f"publish: {said[-1]}")
        self._say(f"published {target}")
        self._say(describe_default(self.store))
        self._say(f"serve it: lstmserve-server --model-store {self.store}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Only one process works in a folder; raises TrainingError where another does.

    And where somebody interrupts it, which loses nothing.
    """
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = stack.enter_context((work / ".lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainingError(
                f"{work}: another lstmserve-train works in this folder; wait for it, or give "
                "another one with --work"
            ) from None
        try:
            yield
        except KeyboardInterrupt:
            raise TrainingError("interrupted; the same command goes on where it was") from None


def describe_command(recipe_path: Path, overrides: Sequence[str]) -> str:
    """The command that makes a run again, without where it was typed."""
    return " ".join(["lstmserve-train run", recipe_path.name, *overrides])

"""The folder of one run: what each verb leaves there for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmserve_training.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

CORPUS_NAME = "corpus.pt"
TOKENIZER_NAME = "tokenizer.json"
TEMPLATE_NAME = "template.json"
QUESTIONS_NAME = "questions.json"
PREPARATION_NAME = "prepare.json"
BEST_NAME = "best.pt"
LAST_NAME = "last.pt"
LOG_NAME = "training.jsonl"
MODEL_NAME = "model.pt"
EVALUATION_NAME = "evaluation.json"

_VERBS = {
    BEST_NAME: "train",
    LAST_NAME: "train",
    MODEL_NAME: "quantize",
    EVALUATION_NAME: "evaluate",
}


def require(work: Path, name: str) -> Path:
    """The path of a file in the folder; raises MissingInputError naming the verb to run."""
    path = work / name
    if path.is_file():
        return path
    verb = _VERBS.get(name, "prepare")
    data = " --data …" if verb == "prepare" else ""
    command = f"lstmserve-train {verb} --work {work}{data}"
    raise MissingInputError(f"{path} is missing: run '{command}' first")

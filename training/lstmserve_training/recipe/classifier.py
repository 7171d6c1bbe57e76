"""The section of a recipe that says how questions are named before they are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from lstmserve_bundle.ngram_table import MAX_ROWS
from lstmserve_training.recipe.sections import FileSource, Positive, Section, Share, key


class QuestionColumns(Section):
    """Where a table, or the objects of JSON lines, hold what."""

    text: str = key("the question", default="text")
    label: str = key("its label", default="label")
    turns: str = key("the list of turns, where a row is a conversation", default="")
    role: str = key("who speaks, in an object of `turns`", default="role")
    content: str = key("the text of a turn in `turns`", default="content")


class QuestionSource(FileSource):
    """Questions with labels, or conversations with a label for their last question."""

    use: Literal["training", "validation", "questions", "filler", "follow-up"] = key(
        "`training`, of which `held_out` is held out; `validation`: never trained on, decides how "
        "sure the classifier is; `questions`: only measured; `filler`: texts that say nothing, "
        "which are put around other questions; `follow-up`: an agent's turn and the customer's "
        "answer, which do not tell what they are about and are put behind other questions",
        default="training",
    )
    columns: QuestionColumns = key("the names of the columns", default=QuestionColumns())
    label: str = key("the label of all of them, whatever their column says", default="")
    labels: dict[str, str] = key(
        "other names for labels of this source; empty: left out", default={}
    )
    repeat: Positive = key("how often each epoch reads it", default=1)
    share: float = key(
        "share of its training questions that is read at all", gt=0, le=1, default=1.0
    )


class ClassifierSection(Section):
    """What names questions: n-grams and a small network, trained beside the model."""

    sources: list[QuestionSource] = key("questions", min_length=1)
    out_of_scope: list[str] = key("labels of what the model is not for", default=[])
    ngrams: int = key(
        "n-grams that are learned, the most frequent", ge=100, le=MAX_ROWS, default=40_000
    )
    min_count: Positive = key("questions in which an n-gram must be, to be learned", default=2)
    width: int = key("values of an n-gram", ge=8, le=256, multiple_of=8, default=64)
    hidden: int = key("values of the hidden layer; 0: there is none", ge=0, le=512, default=0)
    epochs: Positive = key("times that the questions are read", default=10)
    rows: Positive = key("questions side by side in a batch", default=64)
    learning_rate: float = key("the highest; it falls to nothing", gt=0, le=1, default=0.004)
    dropout: float = key("dropout of values", ge=0, le=0.9, default=0.5)
    ngram_dropout: float = key(
        "share of n-grams left out of each question", ge=0, le=0.9, default=0.5
    )
    label_smoothing: float = key("probability spread over all labels", ge=0, lt=1, default=0.0)
    held_out: float = key("share of the questions that is held out", ge=0.01, le=0.5, default=0.1)
    fillers: Share = key("share of questions with texts around them that say nothing", default=0.0)
    shorthand: dict[str, list[str]] = key(
        'words and how they are abbreviated: `you = ["u"]`', default={}
    )
    shorthands: Share = key("share of questions with words abbreviated", default=0.0)
    follow_ups: Share = key(
        "share of questions with a follow-up behind them, which gets their label", default=0.0
    )
    no_follow_ups: list[str] = key(
        "further labels that nothing follows up: `greeting`; those out of scope never are",
        default=[],
    )
    earlier_questions: Share = key(
        "share of first questions with another one, and an agent's turn of a follow-up, before "
        "them; their label stays",
        default=0.0,
    )
    expected_out_of_scope: float = key(
        "share of questions out of scope for which in-scope probabilities are right",
        gt=0,
        lt=1,
        default=0.2,
    )

    @model_validator(mode="after")
    def _something_is_trained_on(self) -> ClassifierSection:
        if not any(source.use == "training" for source in self.sources):
            raise ValueError("no source of the classifier has the use 'training'")
        if self.fillers and not any(source.use == "filler" for source in self.sources):
            raise ValueError("fillers needs a source of use 'filler'")
        is_followed = any(source.use == "follow-up" for source in self.sources)
        for name in ("follow_ups", "earlier_questions"):
            if getattr(self, name) and not is_followed:
                raise ValueError(f"{name} needs a source of use 'follow-up'")
        return self

"""A recipe: one file that says everything about a run, from the text to the published model."""

from __future__ import annotations

from pydantic import Field, model_validator

from lstmserve_bundle.manifest import Name
from lstmserve_training.recipe.classifier import ClassifierSection
from lstmserve_training.recipe.network import ModelSection
from lstmserve_training.recipe.sections import (
    Augmentation,
    Cleaning,
    Continuation,
    Distillation,
    EvaluationSection,
    Kind,
    LimitsSection,
    Publishing,
    SamplingSection,
    Section,
    Source,
    Split,
    TokenizerSection,
    TrainingSection,
    WeightsSection,
    key,
)

DIALOGUES = ("replies", "conversations")


class Recipe(Section):
    """The file. Paths in it start from its own folder."""

    name: Name = key("the model's name in the store: lower case, digits, `.`, `_`, `-`")
    kind: Kind = key(
        "`replies`: questions and answers; `conversations`; `lines`: headlines, names; "
        "`text`: books, poems, with their newlines"
    )
    description: str = key("what the model is for, in a sentence", default="")
    license: str = key("the license of the published model", min_length=1)
    seed: int = key("of everything random", ge=0, default=1)
    label_name: str = key(
        "labels are told as `<label_name>:<label>`", default="intent", min_length=1
    )
    sources: list[Source] = Field(description="the text", min_length=1)
    cleaning: Cleaning = Cleaning()
    split: Split = Split()
    tokenizer: TokenizerSection = TokenizerSection()
    model: ModelSection = ModelSection()
    weights: WeightsSection | None = None
    continuation: Continuation | None = None
    distillation: Distillation | None = None
    training: TrainingSection = TrainingSection()
    augmentation: Augmentation = Augmentation()
    classifier: ClassifierSection | None = None
    evaluation: EvaluationSection = EvaluationSection()
    sampling: SamplingSection = SamplingSection()
    limits: LimitsSection = LimitsSection()
    publish: Publishing = Publishing()

    @property
    def has_roles(self) -> bool:
        """Whether somebody asks and the model answers; otherwise it goes on with a text."""
        return self.kind in DIALOGUES

    def kind_of(self, source: Source) -> Kind:
        """What a source holds."""
        return source.kind or self.kind

    @model_validator(mode="after")
    def _sources_fit_the_kind(self) -> Recipe:
        for source in self.sources:
            if (self.kind_of(source) in DIALOGUES) != self.has_roles:
                raise ValueError(
                    f"source {source.name!r} holds {self.kind_of(source)}, the model {self.kind}: "
                    "dialogues and text do not mix"
                )
        if self.classifier is not None and not self.has_roles:
            raise ValueError("a classifier names questions: kinds 'replies' and 'conversations'")
        if self.weights is not None and self.has_roles:
            raise ValueError("weights are imported for the kinds 'lines' and 'text' only")
        if self.weights is not None and self.distillation is not None:
            raise ValueError("weights that exist are not trained: distillation has no use")
        if self.weights is not None and self.continuation is not None:
            raise ValueError("weights that exist and a continuation do not go together")
        needed = "validation" if self.weights is not None else "training"
        if needed == "validation" and any(source.use != needed for source in self.sources):
            raise ValueError("beside weights that exist, all sources have the use 'validation'")
        if not any(source.use == needed for source in self.sources):
            raise ValueError("no source has the use 'training'")
        return self

    @model_validator(mode="after")
    def _the_family_fits(self) -> Recipe:
        family = self.model.family
        if family == "attentive" and not self.has_roles:
            raise ValueError(
                "model.family 'attentive' looks at what was asked: kinds 'replies' and "
                "'conversations'; for others take 'hybrid'"
            )
        if family != "stacked" and (self.continuation or self.weights):
            raise ValueError(
                f"model.family {family!r}: a continuation, and weights that exist, have the family "
                "'stacked'"
            )
        return self

    @model_validator(mode="after")
    def _defaults_are_within_the_limits(self) -> Recipe:
        if self.sampling.max_tokens > self.limits.max_tokens:
            raise ValueError("sampling.max_tokens is above limits.max_tokens")
        return self

"""The sections of a recipe. Each key is declared once: its type, bounds, default and help.

``docs/recipes.md`` is written from these declarations, and ``init`` takes its comments from them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lstmserve_bundle.manifest import MAX_EXAMPLE_PROMPTS, ROW_STEP, ExamplePrompt

Kind = Literal["replies", "conversations", "lines", "text"]
Mask = Literal["numbers", "emails", "links"]

MIN_VOCABULARY = 320  # every byte is a token, and the special ones are


class Section(BaseModel):
    """A part of a recipe: nothing is coerced, and an unknown key is an error."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


def key(help_text: str, **bounds: Any) -> Any:  # noqa: ANN401 - it is pydantic's own signature
    """A key of a section, with what it means."""
    return Field(description=help_text, **bounds)


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Temperature = Annotated[float, Field(gt=0, le=2)]


class Columns(Section):
    """Where a table, or the objects of JSON lines, hold what."""

    prompt: str = key("what is asked", default="")
    reply: str = key("the answer to it", default="")
    label: str = key("what the prompt is about; the model names it before it answers", default="")
    text: str = key(
        "the text of a line or a document, or a list of its lines; of a turn, where a row is one",
        default="",
    )
    conversation: str = key(
        "which conversation a row belongs to, where a row is a turn", default=""
    )
    role: str = key("who speaks, in a row or in an object of `turns`", default="role")
    turns: str = key("the list of turns, where a row is a whole conversation", default="")
    content: str = key("the text of a turn in `turns`", default="content")


class Replace(Section):
    """One replacement; cleaning carries them out in order."""

    pattern: Pattern = key("a regular expression (Python's)")
    by: str = key("what takes its place; `\\1` is the first group", default="")
    ignore_case: bool = key("whether case makes no difference", default=False)


class Sentences(Section):
    """Shortens replies to their first whole sentences."""

    max_words: Positive = key("no further sentence is taken beyond that many words")
    drop: Pattern = key("sentences in which this is found are left out", default="")


class Cleaning(Section):
    """Changes of text, none of which is made unless it stands in the recipe."""

    strip: bool = key("remove white space around each text", default=False)
    one_line: bool = key("make every run of white space one space", default=False)
    replace: list[Replace] = key("replacements, in order", default=[])
    sentences: Sentences | None = key("shorten replies to whole sentences", default=None)
    drop_matching: Pattern = key("leave out rows in one of whose texts this is found", default="")
    fold_labels: bool = key("write labels in lower case, without space around", default=False)


class LabelRule(Section):
    """A label for conversations that begin in a certain way."""

    pattern: Pattern = key("a regular expression (Python's), found in the first turn in any case")
    label: str = key("the label", min_length=1)


class FileSource(Section):
    """Files of one origin and one form, whatever is in them."""

    name: str = key("what the model's card calls it", min_length=1)
    files: list[str] = key("paths from the recipe's folder; `*` stands for any names", min_length=1)
    origin: str = key("where it is from: a link, or a word about it", default="")
    license: str = key("the license of the text, as the model's card tells it", default="")
    format: Literal["auto", "csv", "tsv", "json-lines", "text", "parquet"] = key(
        "the form of the files; `auto` looks at their names", default="auto"
    )
    encoding: str = key("the encoding of the text", default="utf-8")
    delimiter: str = key("what separates columns; empty: by the form", default="", max_length=1)
    lists: list[str] = key(
        "of a JSON file that is one object: the names of its lists that hold the rows; columns of "
        "a row that is a list are called `0`, `1`, …",
        default=[],
    )
    cleaning: Cleaning = key("steps for this source, before the recipe's own", default=Cleaning())


class Source(FileSource):
    """Files of one origin and one form."""

    use: Literal["training", "validation", "questions", "reply-pool"] = key(
        "`training`, of which `split.held_out` is held out; `validation`: never trained on; "
        "`questions`: prompts with labels, never trained on, that only measure how well labels "
        "are named; `reply-pool`: replies by label, for prompts that have none",
        default="training",
    )
    kind: Kind | None = key(
        "what it holds, where that differs from the recipe's kind", default=None
    )
    separator: Literal["line", "blank-line", "file"] = key(
        "what ends a document of a text file: `line` for kind `lines`; for kind `text` a blank "
        "line (poems) or the file's end (a book)",
        default="file",
    )
    columns: Columns = key("the names of the columns", default=Columns())
    labels: dict[str, str] = key(
        "our labels by those of the source; empty: labels are as they are", default={}
    )
    other_label: str = key(
        "the label of rows whose own is not in `labels`; empty: they are left out", default=""
    )
    label_rules: list[LabelRule] = key(
        "labels by how a conversation begins; those on which no rule, or no two rules, agree are "
        "left out",
        default=[],
    )
    contexts: Positive = key(
        "with `label_rules`: a reply is asked for after each of so many first turns of the user",
        default=1,
    )
    slots: str = key(
        "a JSON file of lists by name, whose values take the place of `{name}` in the texts",
        default="",
    )
    fillings: Positive = key("with `slots`: how often each row is filled", default=1)
    users: list[str] = key(
        "roles that ask, in any case", default=["user", "customer", "human", "client"]
    )
    agents: list[str] = key(
        "roles that the model is to speak as", default=["agent", "assistant", "bot", "support"]
    )
    repeat: Positive = key("how often each epoch reads it", default=1)
    share: Share = key("share of its documents that each epoch draws anew", default=1.0)
    weight: float = key(
        "of a reply pool: how often it is drawn from, beside others", gt=0, default=1
    )
    place: Literal["any", "first", "later"] = key(
        "of a reply pool: whether it answers first turns, later ones, or both", default="any"
    )
    when: Pattern = key("of a reply pool: must be found in what the user has said", default="")
    unless: Pattern = key(
        "of a reply pool: must not be found in what the user has said", default=""
    )
    prompt_weight: Share = key(
        "loss weight of what the user says, in conversations with a labeled reply", default=1.0
    )
    opening_weight: Share = key(
        "loss weight of the first word of a conversation's first reply that has no label",
        default=1.0,
    )


class Split(Section):
    """What is held out, and how long a document may be."""

    held_out: float = key("share of the documents that is held out", ge=0.001, le=0.5, default=0.05)
    by: Literal["user", "first-turn"] = key(
        "what decides whether a conversation is held out: all that the user says, or the first "
        "turn, so that conversations that begin alike stay together",
        default="user",
    )
    max_tokens: int = key("longest document in tokens", ge=8, le=100_000, default=1024)
    too_long: Literal["drop", "cut", "stop"] = key(
        "what happens to longer ones: left out, cut after so many tokens, or an error",
        default="drop",
    )
    window: int = key("of running text: tokens that are read from a fresh state", ge=8, default=256)


class TokenizerSection(Section):
    """How text becomes tokens, in training and in serving alike."""

    kind: Literal["bpe", "words", "characters", "file"] = key(
        "pieces of words; whole words; characters of any script; or one that exists", default="bpe"
    )
    vocabulary: int = key(
        f"tokens at most, special ones included; padded to a multiple of {ROW_STEP}",
        ge=MIN_VOCABULARY,
        le=65_536,
        default=4096,
    )
    file: str = key("of kind `file`: a tokenizer.json, byte-level; or a run's folder", default="")
    normalize: Literal["none", "NFC", "NFKC"] = key("Unicode normal form", default="none")
    lowercase: bool = key("whether case is dropped", default=False)
    mask: list[Mask] = key(
        "what becomes `[number]`, `[email]` or `[link]`: numbers of five digits and more, "
        "addresses, links; in prompts that are served, too",
        default=[],
    )

    @model_validator(mode="after")
    def _a_file_is_named(self) -> TokenizerSection:
        if (self.kind == "file") != bool(self.file):
            raise ValueError("kind 'file' and the key 'file' belong together")
        return self


class WeightsSection(Section):
    """Weights that exist, which are taken instead of training."""

    file: str = key("a state dict, safetensors, or a TorchScript module", min_length=1)
    vocabulary: str = key(
        "its tokens by id: a JSON object or list, a text file of one token a line, or a byte-level "
        "tokenizer.json",
        min_length=1,
    )
    tokens: Literal["auto", "words", "characters"] = key("what its tokens are", default="auto")
    embedding: str = key("the name of the embedding, where its shape does not say", default="")
    lstm: str = key("the name of the LSTM, where there are several", default="")
    output: str = key("the name of the output layer, where its shape does not say", default="")
    end: str = key("the token that ends a text; empty: a usual one, or a new one", default="")
    start: str = key(
        "the token that begins a text, where that is not the one that ends it; empty: a usual one",
        default="",
    )
    unknown: str = key("the token of what is in no vocabulary; empty: a usual one", default="")


class TrainingSection(Section):
    """How the weights are found."""

    epochs: Positive = key(
        "times that the text is read; the learning rate falls over all", default=10
    )
    rows: Positive = key("documents side by side in a batch", default=64)
    segment: Positive = key("steps of back-propagation through time", default=64)
    learning_rate: float = key("the highest, after warm-up", gt=0, le=1, default=2e-3)
    warm_up_steps: int = key("steps until then, at most a tenth of all", ge=0, default=300)
    schedule: Literal["cosine", "constant"] = key(
        "what follows: half a cosine down to a hundredth, or the highest until the end",
        default="cosine",
    )
    weight_decay: float = key("AdamW's", ge=0, le=1, default=0.01)
    clip_norm: float = key("gradients are clipped to this norm", gt=0, default=0.5)
    label_smoothing: float = key("probability spread over all tokens", ge=0, lt=1, default=0.0)
    token_noise: float = key(
        "share of input tokens replaced by random ones", ge=0, lt=1, default=0.0
    )
    scheduled_sampling: float = key(
        "share of a reply's input tokens that the model drew itself, at the end of training; it "
        "grows from 0",
        ge=0,
        le=1,
        default=0.0,
    )
    label_weight: float = key(
        "loss weight of a label's token; one of text has 1", ge=0, default=3.0
    )
    patience: Positive = key("epochs without gain on held-out text before it stops", default=3)
    start_from: str = key(
        "the folder of a run whose best weights to start from, or of a published version",
        default="",
    )
    checkpoint_minutes: float = key("time between checkpoints within an epoch", gt=0, default=2.0)
    tensorboard: bool = key("write TensorBoard files into the run's folder", default=False)

    def own_keys(self) -> dict[str, Any]:
        """Return what decides the weights."""
        unrelated = {"checkpoint_minutes", "tensorboard", "label_weight"}
        if not self.scheduled_sampling:
            # a run that began before there was this key is still the same run
            unrelated.add("scheduled_sampling")
        return self.model_dump(exclude=unrelated)


class Distillation(Section):
    """A model that exists, which shows this one how likely it finds each token."""

    teacher: str = key(
        "`NAME/VERSION` in the store, or the folder of a run or of a version, with the same tokens",
        min_length=1,
    )
    share: float = key("of what is learned that is learned from it", gt=0, le=1, default=0.5)
    temperature: float = key(
        "at which both are compared: the higher, the more unlikely tokens count",
        gt=0,
        le=20,
        default=2.0,
    )


class Continuation(Section):
    """A model that exists, which learns this text as well and keeps what it knows."""

    model: str = key(
        "`NAME/VERSION` in the store, whose run is in `runs`; or that run's folder",
        min_length=1,
    )
    replay: Share = key("share of the earlier text that each epoch reads again", default=1.0)
    consolidation: float = key(
        "elastic weight consolidation: how dear it is to move the weights that the earlier text "
        "depends on; 0: off",
        ge=0,
        default=10.0,
    )
    fisher_documents: Positive = key(
        "documents of the earlier text by which those weights are found", default=500
    )


class Augmentation(Section):
    """Prompts as other people might have typed them; nothing is changed unless asked for."""

    variants: Positive = key("different versions; each epoch reads one", default=1)
    openings: list[str] = key("words put before a quarter of the prompts", default=[])
    greetings: list[str] = key("greetings put before 30 % of the prompts", default=[])
    closings: list[str] = key("words put after a quarter of the prompts", default=[])
    recase: bool = key("vary the case, and leave out final punctuation", default=False)
    typos: Share = key("share of prompts with mistyped words", default=0.0)
    leave_out: Share = key("share of prompts that lose a word", default=0.0)
    earlier_exchange: Share = key("share of replies that follow another exchange", default=0.0)
    synonyms: Share = key(
        "share of prompts some of whose words are replaced by others that the prompts use alike, "
        "under the same label",
        default=0.0,
    )
    similarity: float = key(
        "how alike two such words are at least: the cosine of their embeddings, which are made of "
        "the prompts",
        gt=0,
        le=1,
        default=0.6,
    )
    rewrite: list[str] = key(
        "commands of the shell that read prompts, one a line, and write each in other words, such "
        "as a translation there and back",
        default=[],
    )
    rewritten: Share = key(
        "share of prompts that are as one of these commands wrote them", default=0.3
    )


class EvaluationSection(Section):
    """What is measured beside perplexity."""

    prompts: list[ExamplePrompt] = key(
        "what the model is asked after each epoch and at the end, and what its card and the "
        "server's page offer to try; empty: held-out ones, which neither of them shows",
        default=[],
        max_length=MAX_EXAMPLE_PROMPTS,
    )
    sample_tokens: Positive = key("tokens of such a sample", default=40)
    replies: Positive = key("replies sampled to measure variety", default=200)
    texts: Positive = key(
        "texts that a model of lines or poems writes from nothing, to measure how varied they are "
        "and how many are copied from what it was trained on",
        default=1000,
    )
    temperatures: list[Temperature] = key(
        "at which it writes them, each above 0; the rest is as in `sampling`", default=[0.8, 1.0]
    )
    speed_seconds: float = key("time for each measure of speed", gt=0, le=60, default=1.0)


class SamplingSection(Section):
    """The model's own defaults for what a request leaves out."""

    temperature: float = key("0: the most likely token", ge=0, le=2, default=0.7)
    top_k: int = key("0: off", ge=0, default=0)
    top_p: float = key("1: off", gt=0, le=1, default=1.0)
    min_p: float = key("0: off", ge=0, lt=1, default=0.05)
    max_tokens: Positive = key("tokens of a reply", default=96)


class LimitsSection(Section):
    """The most that one request may ask for."""

    max_prompt_tokens: Positive = key("tokens of a prompt", default=1024)
    max_tokens: Positive = key("tokens of a reply", default=512)


class Publishing(Section):
    """Where the model goes."""

    store: str = key("the model store; made where there is none", default="model_store")
    max_size_mb: float = key("the largest model.pt, in units of 1,000,000 bytes", gt=0, default=64)
    answers: str = key(
        "an answers.json for the version: its own words, what fills gaps, what must not be said",
        default="",
    )
    constraints: str = key(
        "a constraints.json for the version: forms that requests may name", default=""
    )
    card: str = key("Markdown for the end of the model's card: limits, advice", default="")

"""What a model of texts writes by itself is compared with what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.documents import load_corpus
from lstmserve_training.evaluate import measure
from lstmserve_training.held_out import read_held_out
from lstmserve_training.originality import originality
from lstmserve_training.prepare import prepare
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.sections import SamplingSection
from lstmserve_training.replies import at_temperature
from lstmserve_training.work import CORPUS_NAME, read_tokenizer
from support.small_run import write_small_run

NAMES = [f"Line number {number} of them" for number in range(40)]
LINES = """\
name = "names"
kind = "lines"
license = "proprietary"

[[sources]]
name = "names"
files = ["names.txt"]

[tokenizer]
kind = "characters"
vocabulary = 320

[evaluation]
texts = 70
temperatures = [1.0]
"""


class Reciter:
    """Says the same tokens, whatever it reads; its state is how many."""

    def __init__(self, token_ids: list[int], num_tokens: int) -> None:
        self._next = torch.full((len(token_ids), num_tokens), -1000.0)
        self._next[torch.arange(len(token_ids)), torch.tensor(token_ids)] = 0.0

    def initial_state(self, rows: int) -> Tensor:
        return torch.zeros(rows, 1)

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        assert len(state) == len(tokens)
        return self._next[state[:, 0].long() % len(self._next)], state + 1


class Uniform:
    """Every token is as likely as any other."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens

    def initial_state(self, rows: int) -> Tensor:
        return torch.zeros(rows, 1)

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(tokens), self._num_tokens), state


def prepare_run(
    folder: Path,
    kind: str = "lines",
    lines: Sequence[str] = NAMES,
) -> Tokenizer:
    (folder / "names.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "names.toml").write_text(LINES.replace('"lines"', f'"{kind}"'), encoding="utf-8")
    prepare(read_recipe(folder / "names.toml"), folder, folder)
    return read_tokenizer(folder)


def test_texts_from_training_are_copies(tmp_path: Path) -> None:
    tokenizer = prepare_run(tmp_path)
    recipe = read_recipe(tmp_path / "names.toml")
    line = load_corpus(tmp_path / CORPUS_NAME).common[0].documents[0].token_ids
    new = [*tokenizer.encode("a line of its own"), line[-1]]
    copying, inventing = (
        originality(recipe, tmp_path, tokenizer, Reciter(ids, tokenizer.num_tokens))
        for ids in (line[1:], new)
    )
    assert copying == {
        "written_texts": 70,
        "written_distinct_2_at_1": pytest.approx(1 / 70),
        "written_copied_percent_at_1": 100.0,
    }
    assert inventing == {**copying, "written_copied_percent_at_1": 0.0}


def test_case_and_white_space_make_no_copy_original(tmp_path: Path) -> None:
    tokenizer = prepare_run(tmp_path)
    line = load_corpus(tmp_path / CORPUS_NAME).common[0].documents[0].token_ids
    loud = tokenizer.decode(line).upper().replace(" ", "  ") + " "
    stepper = Reciter([*tokenizer.encode(loud), line[-1]], tokenizer.num_tokens)
    found = originality(read_recipe(tmp_path / "names.toml"), tmp_path, tokenizer, stepper)
    assert found["written_copied_percent_at_1"] == 100.0


def test_a_book_and_replies_have_no_whole_texts(tmp_path: Path) -> None:
    tokenizer = prepare_run(tmp_path, kind="text")
    recipe, nothing = read_recipe(tmp_path / "names.toml"), Uniform(tokenizer.num_tokens)
    assert originality(recipe, tmp_path, tokenizer, nothing) == {}
    path = write_small_run(tmp_path / "faq")
    prepare(read_recipe(path), path.parent, path.parent)
    tokenizer = read_tokenizer(path.parent)
    assert originality(read_recipe(path), path.parent, tokenizer, nothing) == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [("a {} c", 4), ("床前明月光疑是地上霜{}", None)],
)
def test_perplexity_per_word(tmp_path: Path, line: str, words: int | None) -> None:
    """A text's end is a word, too. Without white space there are no words to measure by."""
    tokenizer = prepare_run(tmp_path, lines=[line.format(n) for n in range(10, 50)])
    held_out = read_held_out(tmp_path, tokenizer, "intent", 3, seed=1)
    found = measure(Uniform(tokenizer.num_tokens), held_out, tokenizer, 1)
    if words is None:
        assert "word_perplexity" not in found
    else:
        tokens = len(line.format(10)) + 1  # a token for each character, and the end
        assert found["word_perplexity"] == pytest.approx(tokenizer.num_tokens ** (tokens / words))


def test_temperature_and_filters_by_hand() -> None:
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]]).log()

    def probabilities(**settings: float) -> list[float]:
        wanted = {"temperature": 1.0, "min_p": 0.0, **settings}
        one, other = at_temperature(logits, SamplingSection.model_validate(wanted)).softmax(1)
        assert one.tolist() == pytest.approx(other.flip(0).tolist())
        return [round(float(value), 4) for value in one]

    assert probabilities() == [0.4, 0.3, 0.2, 0.1]
    assert probabilities(temperature=0.5) == [0.5333, 0.3, 0.1333, 0.0333]
    assert probabilities(top_k=2) == [0.5714, 0.4286, 0.0, 0.0]
    assert probabilities(top_p=0.6) == [0.5714, 0.4286, 0.0, 0.0]
    assert probabilities(min_p=0.45) == [0.4444, 0.3333, 0.2222, 0.0]

"""A model learns other text as well, and what it knew before is kept, counted and told."""

from __future__ import annotations

import io
import itertools
import random
import shutil
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from lstmserve_bundle import open_bundle
from lstmserve_training import cli
from lstmserve_training.checkpoint import load_best
from lstmserve_training.continuation.consolidation import (
    Consolidation,
    consolidate,
    fisher_information,
    widen,
)
from lstmserve_training.continuation.text import add_earlier_text
from lstmserve_training.documents import Corpus, Document, Documents, Part, load_corpus, save_corpus
from lstmserve_training.model import ModelConfig
from lstmserve_training.perplexity import perplexity
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.sections import Continuation, TrainingSection
from lstmserve_training.run import Run
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.stepper import FloatLstm
from lstmserve_training.train import Trainer
from lstmserve_training.work import read_tokenizer
from support.small_run import RECIPE, write_small_run
from support.tiny_checkpoint import Silence

SIZES = ModelConfig(64, 64, layers=2, dropout=0.0)
PETS = ("cat", "dog", "hen", "cow", "pig", "owl", "fox", "ant")


def in_rows(step: int) -> Documents:
    """Counting in steps of so much."""
    return Documents.pack(
        Document([(start + step * n) % 40 for n in range(10)], [0.0] + [1.0] * 9)
        for start in range(40)
    )


def train(
    folder: Path,
    documents: Documents,
    first: StackedLstm | None = None,
    kept: Consolidation | None = None,
) -> StackedLstm:
    folder.mkdir()
    corpus = Corpus([Part(documents)], held_out={"lines": documents})
    save_corpus(corpus, folder / "corpus.pt")
    section = TrainingSection(epochs=12, rows=8, warm_up_steps=5, learning_rate=1e-2, patience=20)
    trainer = Trainer(SIZES, section, 1, corpus, folder, "cpu", first=first, consolidation=kept)
    trainer.run(Silence())
    return load_best(folder).model


def test_weights_that_the_earlier_text_depends_on_stay_where_they_are(tmp_path: Path) -> None:
    upwards, in_threes = in_rows(1), in_rows(3)
    first = train(tmp_path / "first", upwards)
    section = Continuation(model="first", consolidation=300.0, fisher_documents=40)
    kept = consolidate(section, tmp_path / "first", first, tmp_path, 1)
    assert kept is not None
    plain = train(tmp_path / "plain", in_threes, first)
    consolidated = train(tmp_path / "consolidated", in_threes, first, kept)

    def read(model: StackedLstm, documents: Documents) -> float:
        return perplexity(FloatLstm(model).eval(), documents)

    assert read(first, upwards) < 1.6
    assert read(plain, in_threes) < 1.6
    assert read(consolidated, upwards) < read(plain, upwards) / 2
    assert read(consolidated, in_threes) < read(first, in_threes) / 20
    with torch.no_grad():
        assert kept.penalty(plain) > kept.penalty(consolidated) > kept.penalty(first) == 0


def test_the_penalty_is_half_the_strength_times_the_information_times_the_square() -> None:
    model = StackedLstm(SIZES)
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    fisher = {name: torch.zeros_like(value) for name, value in weights.items()}
    fisher["output_bias"][3] = 0.25
    with torch.no_grad():
        model.output_bias[3] += 2
        model.output_bias[4] += 9  # nothing depends on it
    penalty = Consolidation(8.0, weights, fisher).penalty(model).detach()
    assert float(penalty) == pytest.approx(4 * 0.25 * 4)


def test_the_information_of_a_bias_is_the_variance_of_its_token() -> None:
    """D log p(y) / d b_k is (y = k) - p_k, whose square is p_k (1 - p_k) in the mean.

    The standard error of a mean of 1,000 draws is below 0.008 for any token.
    """
    torch.manual_seed(5)
    model = StackedLstm(SIZES).eval()
    with torch.no_grad():
        model.output_bias.mul_(0)
        model.output_bias[:4] = 4.0
    found = fisher_information(model, [Document([7, 1], [0.0, 1.0])] * 1000, seed=1)
    logits, _ = model(torch.tensor([[7]]), None)
    shares = logits[0, 0].softmax(0)
    assert float(shares[:4].detach().sum()) > 0.5
    assert torch.allclose(found["output_bias"], shares * (1 - shares), atol=0.03)
    assert not found["embedding.weight"].isnan().any()


def test_what_is_not_counted_gives_no_information() -> None:
    found = fisher_information(StackedLstm(SIZES).eval(), [Document([1, 2, 3], [0.0] * 3)], seed=1)
    assert not any(bool(value.any()) for value in found.values())


def test_new_tokens_change_nothing_about_those_that_were_there(model: StackedLstm) -> None:
    config = ModelConfig(model.config.num_tokens + 64, 64, layers=2, dropout=0.0)
    wider = widen(model, config).eval()
    tokens = torch.randint(model.config.num_tokens, (2, 9))
    old, _ = model(tokens, None)
    new, _ = wider(tokens, None)
    assert torch.allclose(old, new[..., : model.config.num_tokens], atol=1e-5)
    assert torch.equal(wider.output_bias[-64:].max(), model.output_bias.min())


def test_each_epoch_reads_a_share_of_the_earlier_text(tmp_path: Path) -> None:
    upwards = in_rows(1)
    save_corpus(
        Corpus([Part(upwards, share=0.5)], [[Part(upwards)], [Part(upwards)]], {"lines": upwards}),
        tmp_path / "corpus.pt",
    )
    own = Corpus([Part(in_rows(3))], held_out={"lines": in_rows(3)})
    joined = add_earlier_text(own, tmp_path, 0.2)
    assert [len(joined.epoch(n, random.Random(n))) for n in range(2)] == [40 + 4 + 4 + 4] * 2
    assert set(joined.held_out) == {"lines", "earlier_lines"}
    assert joined.held_out["earlier_lines"] == upwards
    assert len(add_earlier_text(own, tmp_path, 0.0).epoch(0, random.Random(1))) == 40
    save_corpus(joined, tmp_path / "corpus.pt")  # and continued once more
    again = add_earlier_text(own, tmp_path, 1.0)
    assert set(again.held_out) == {"lines", "earlier_lines"}
    assert len(again.held_out["earlier_lines"]) == 80


# --- as it is typed ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a published model, and the questions of a second domain."""
    folder = tmp_path_factory.mktemp("shop")
    path = write_small_run(folder)
    Run(read_recipe(path), folder, folder / "runs" / "faq", quiet(), device="cpu").run_all()
    rows = [f"May I bring my {pet}?,Any {pet} is welcome.,pets" for pet in PETS]
    rows += [f"Is there a {pet} shop?,The {pet} shop is next door.,place" for pet in PETS]
    (folder / "zoo.csv").write_text("Question,Answer,Topic\n" + "\n".join(rows) + "\n")
    zoo = RECIPE.replace('"faq"', '"zoo"').replace("faq.csv", "zoo.csv").replace("layers = 1", "")
    zoo = zoo.replace("our questions", "the zoo's questions").replace("hidden = 64", "hidden = 128")
    (folder / "zoo.toml").write_text(zoo)
    return folder


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["lstmserve-train", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    return int(caught.value.code or 0), said.out + said.err


def test_a_published_model_learns_a_second_domain(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("continue", shop / "zoo.toml", "--from", "faq/1", "--device", "cpu")
    code, said = typed(monkeypatch, capsys, *words)
    assert code == 0, said
    assert "model.hidden: 128 -> 64, as faq/1 has it" in said
    assert "with text of the model before it, an epoch has" in said
    earlier, work = shop / "runs" / "faq", shop / "runs" / "zoo"

    before, after = read_tokenizer(earlier), read_tokenizer(work)
    assert after.num_tokens % 64 == 0
    assert all(
        before.token_bytes(token) == after.token_bytes(token) for token in range(before.num_tokens)
    )
    manifest = open_bundle(shop / "model_store" / "zoo" / "1").manifest
    assert set(manifest.template.labels.values()) == {
        *("intent:track", "intent:price", "intent:return", "intent:pets", "intent:place")
    }
    assert [source.name for source in manifest.training.data] == [
        "the zoo's questions",
        "our questions",
    ]
    assert manifest.training.facts["continuation.model"] == "faq/1"
    measures = manifest.evaluation
    assert float(measures["earlier_replies_perplexity_before"]) > 1
    assert 0 <= float(measures["label_accuracy_earlier_int8"]) <= 1
    parts = load_corpus(work / "corpus.pt").common
    assert len(parts) == 2
    assert list(parts[1].documents) == list(load_corpus(earlier / "corpus.pt").common[0].documents)

    code, said = typed(monkeypatch, capsys, *words)
    assert code == 0
    assert "already finished: nothing has changed since" in said
    fisher = (work / "fisher.pt").read_bytes()
    code, said = typed(monkeypatch, capsys, *words, "continuation.consolidation=2.0")
    assert "train: continuation.consolidation: 10.0 -> 2.0" in said
    assert (work / "old-1" / "fisher.pt").read_bytes() == fisher


def test_what_cannot_be_continued_is_named(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "shop"
    shutil.copytree(shop, where)
    zoo = where / "zoo.toml"
    work = ("--work", where / "runs" / "new")

    def fails(start: object, *others: object) -> str:
        code, said = typed(monkeypatch, capsys, "continue", zoo, "--from", start, *others)
        assert code == 1
        return said.splitlines()[-1]

    assert "'faq/9' is neither NAME/VERSION in the store" in fails("faq/9", *work)
    assert "runs/faq is the run that is continued" in fails(
        "faq/1", "--work", where / "runs" / "faq"
    )
    assert "label_name: the labels of" in fails("faq/1", "label_name=topic", *work)
    assert fails("runs/nothing", *work).startswith("error: continuation.model: 'runs/nothing'")


def test_a_version_without_its_run_is_continued_and_what_is_lost_is_told(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "elsewhere"
    shutil.copytree(shop, where, ignore=shutil.ignore_patterns("runs", "faq.csv"))
    shutil.rmtree(where / "model_store" / "zoo", ignore_errors=True)
    words = ("continue", where / "zoo.toml", "--from", "faq/1", "--device", "cpu")
    code, said = typed(monkeypatch, capsys, *words)
    assert code == 0, said
    assert "model.hidden: 128 -> 64, as faq/1 has it" in said
    assert "faq/1 is continued without the run that made it" in said
    assert "none of it is replayed, consolidated or measured" in said
    assert "an epoch has" not in said

    found = open_bundle(where / "model_store" / "zoo" / "1")
    manifest = found.manifest
    assert set(manifest.template.labels.values()) == {
        *("intent:track", "intent:price", "intent:return", "intent:pets", "intent:place")
    }
    known = open_bundle(where / "model_store" / "faq" / "1").tokenizer
    assert all(
        found.tokenizer.token_bytes(token) == known.token_bytes(token)
        for token in range(known.num_tokens)
    )
    assert [source.name for source in manifest.training.data] == [
        "the zoo's questions",
        "our questions",
    ]
    facts = manifest.training.facts
    assert (facts["continuation.replay"], facts["continuation.consolidation"]) == (0.0, 0.0)
    assert not [name for name in manifest.evaluation if "earlier" in name]

    code, said = typed(monkeypatch, capsys, *words)
    assert "already finished: nothing has changed since" in said


def test_a_run_with_an_output_layer_of_its_own_is_continued(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "untied"
    where.mkdir()
    for name in ("faq.csv", "faq.toml", "zoo.csv", "zoo.toml"):
        shutil.copy(shop / name, where)
    code, said = typed(monkeypatch, capsys, "run", where / "faq.toml", "model.embedding=32")
    assert code == 0, said
    words = ("continue", where / "zoo.toml", "--from", "faq/1")
    code, said = typed(monkeypatch, capsys, *words)
    assert code == 0, said
    assert "model.embedding: 0 -> 32, as faq/1 has it" in said
    assert load_best(where / "runs" / "zoo").model.config.embedding == 32
    shutil.rmtree(where / "runs")
    code, said = typed(monkeypatch, capsys, *words)
    assert code == 1
    assert "its output layer is not its embedding, which a version does not hold" in said


def test_a_chain_remembers_what_each_text_depends_on(tmp_path: Path) -> None:
    first = train(tmp_path / "first", in_rows(1))
    section = Continuation(model="first", fisher_documents=5)
    once = consolidate(section, tmp_path / "first", first, tmp_path, 1)
    assert once is not None
    shutil.copyfile(tmp_path / "fisher.pt", tmp_path / "first" / "fisher.pt")
    (tmp_path / "second").mkdir()
    twice = consolidate(section, tmp_path / "first", first, tmp_path / "second", 1)
    assert twice is not None
    for name, value in once.fisher.items():
        assert torch.allclose(twice.fisher[name], 2 * value)


def test_the_information_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tmp_path / "first", in_rows(1))
    section = Continuation(model="first", fisher_documents=5)
    before = consolidate(section, tmp_path / "first", first, tmp_path, 1)
    calls = itertools.count()

    def count(*_: object) -> dict[str, torch.Tensor]:
        next(calls)
        return {}

    module = "lstmserve_training.continuation.consolidation"
    monkeypatch.setattr(f"{module}.fisher_information", count)
    after = consolidate(section, tmp_path / "first", first, tmp_path, 1)
    assert next(calls) == 0
    assert before is not None
    assert after is not None
    assert all(torch.equal(before.fisher[name], after.fisher[name]) for name in before.fisher)
    other = section.model_copy(update={"fisher_documents": 6})
    consolidate(other, tmp_path / "first", first, tmp_path, 1)
    assert next(calls) == 2
    assert (
        consolidate(section.model_copy(update={"consolidation": 0.0}), tmp_path, first, tmp_path, 1)
        is None
    )

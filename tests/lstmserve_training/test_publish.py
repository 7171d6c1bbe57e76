from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lstmserve_bundle import open_bundle
from lstmserve_bundle.forms import FORMS_NAME
from lstmserve_bundle.store import DEFAULT_NAME, read_default
from lstmserve_training import publish as publish_module
from lstmserve_training.describe import Publication
from lstmserve_training.errors import MissingInputError, PublishError
from lstmserve_training.evaluate import evaluate
from lstmserve_training.export import quantize_best
from lstmserve_training.prepare import prepare
from lstmserve_training.publish import (
    describe_default,
    is_in_store,
    next_version,
    publish,
    take_forms,
)
from support.tiny_checkpoint import VOCABULARY, tiny_recipe, train_tiny


@pytest.fixture(scope="module")
def work(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is ready to be published."""
    folder = tmp_path_factory.mktemp("run") / "work"
    recipe = tiny_recipe("toy", epochs=1, seed=3)
    prepare(recipe, data, folder)
    train_tiny(recipe, folder)
    quantize_best(folder)
    evaluate(recipe, folder)
    return folder


@pytest.fixture
def publication(work: Path, tmp_path: Path) -> Publication:
    recipe = tiny_recipe("toy", epochs=1, seed=3)
    return Publication(recipe, work, tmp_path / "store", 1, "lstmserve-train run toy.toml")


def changed(publication: Publication, **keys: object) -> Publication:
    """The same of a recipe with other keys."""
    return replace(publication, recipe=publication.recipe.model_copy(update=keys))


def test_a_version_has_the_forms_of_its_recipe(
    publication: Publication, work: Path, tmp_path: Path
) -> None:
    given = tmp_path / "forms.json"
    given.write_text('{"date": {"regex": "[0-9]{4}-[0-9]{2}"}, "mood": {"choices": ["good"]}}')
    take_forms(given, work)
    publishing = publication.recipe.publish.model_copy(update={"constraints": given.name})
    bundle = open_bundle(publish(changed(publication, publish=publishing)))
    assert bundle.forms["date"].regex == "[0-9]{4}-[0-9]{2}"
    assert bundle.forms["mood"].choices == ["good"]
    assert (
        bundle.manifest.digest
        != open_bundle(publish(replace(publication, version=2))).manifest.digest
    )
    (work / FORMS_NAME).unlink()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON"),
        ('{"date": {"regex": "a", "choices": ["b"]}}', "date: .*one of regex, choices"),
        ('{"Date!": {"regex": "a"}}', "Date!"),
        ('{"date": {"choices": []}}', "date.choices"),
    ],
)
def test_forms_that_are_wrong_are_refused_by_name(
    work: Path, tmp_path: Path, text: str, reason: str
) -> None:
    given = tmp_path / "forms.json"
    with pytest.raises(MissingInputError, match=r"publish\.constraints names it"):
        take_forms(given, work)
    given.write_text(text)
    with pytest.raises(PublishError, match=reason):
        take_forms(given, work)


def test_a_published_version_opens_and_says_where_it_is_from(publication: Publication) -> None:
    target = publish(publication)
    assert target == publication.store / "toy" / "1"
    assert {path.name for path in target.iterdir()} == {
        "fingerprint.json",
        "manifest.json",
        "model.pt",
        "tokenizer.json",
    }
    manifest = open_bundle(target).manifest
    assert (manifest.name, manifest.version) == ("toy", 1)
    assert (manifest.sizes.vocabulary, manifest.sizes.state) == (VOCABULARY, 4 * 64)
    assert manifest.training.seed == 3
    assert manifest.training.recipe == "lstmserve-train run toy.toml"
    assert manifest.training.facts["tokenizer.kind"] == "bpe"
    assert manifest.training.facts["epochs"] == 1
    assert (manifest.training.facts["locked_dropout"], manifest.training.facts["weight_drop"]) == (
        0,
        0.0,
    )
    assert (manifest.sampling.max_tokens, manifest.limits.max_prompt_tokens) == (48, 256)
    for model in ("fp32", "stock_int8", "int8"):
        assert float(manifest.evaluation[f"conversations_perplexity_{model}"]) > 1
        assert float(manifest.evaluation[f"reply_perplexity_{model}"]) > 1
        assert float(manifest.evaluation[f"tokens_per_second_1_rows_one_thread_{model}"]) > 0
    assert abs(float(manifest.evaluation["reply_perplexity_difference_percent_int8"])) < 1


def test_what_a_version_says_is_the_recipe_s_own(publication: Publication) -> None:
    """License, sources with the digests of what was read, and the words of the card."""
    publishing = publication.recipe.publish.model_copy(update={"card": "## Limits\nIt is a toy."})
    own = changed(publication, license="proprietary", description="Ours.", publish=publishing)
    target = publish(own)
    manifest = open_bundle(target).manifest
    assert (manifest.license, manifest.description) == ("proprietary", "Ours.")
    assert [source.name for source in manifest.training.data] == [
        source.name for source in publication.recipe.sources
    ]
    first = manifest.training.data[0]
    assert (first.source, first.license) == ("not stated", "not stated")
    assert first.files.keys() == {"chats.jsonl"}
    assert first.use == "training, 40 rows"
    assert manifest.training.facts["augmentation.variants"] == 6
    card = (target.parent / "README.md").read_text(encoding="utf-8")
    assert all(words in card for words in ("# toy", "proprietary", "Ours.", "It is a toy."))
    assert "Apache" not in (target / "manifest.json").read_text() + card


def test_prompts_of_the_recipe_are_on_the_card(publication: Publication) -> None:
    recipe = publication.recipe
    evaluation = recipe.evaluation.model_copy(update={"prompts": ["hello", "a:\n  b\n"]})
    target = publish(changed(publication, evaluation=evaluation))
    assert open_bundle(target).manifest.example_prompts == ["hello", "a:\n  b\n"]
    card = (target.parent / "README.md").read_text(encoding="utf-8")
    assert "Prompts to try:\n\n    hello\n\n    a:\n      b\n" in card


def test_a_card_of_somebody_s_own_is_left_alone(publication: Publication) -> None:
    target = publish(publication)
    card = target.parent / "README.md"
    written = card.read_text(encoding="utf-8")
    publish(replace(publication, version=2))
    assert "| version | 2," in card.read_text(encoding="utf-8")
    card.write_text("Our own words.", encoding="utf-8")
    publish(replace(publication, version=3))
    assert card.read_text(encoding="utf-8") == "Our own words."
    assert "| version | 1," in written


def test_versions_are_numbered_one_after_the_other(publication: Publication) -> None:
    assert next_version(publication.store, "toy") == 1
    publish(publication)
    publish(replace(publication, version=7))
    assert next_version(publication.store, "toy") == 8
    assert next_version(publication.store, "other") == 1


def test_other_users_can_read_it(publication: Publication) -> None:
    assert publish(publication).stat().st_mode & 0o777 == 0o755


def test_a_version_is_never_overwritten(publication: Publication) -> None:
    target = publish(publication)
    before = (target / "manifest.json").read_bytes()
    with pytest.raises(PublishError, match=r"toy/1 exists: versions are immutable"):
        publish(changed(publication, description="other"))
    assert (target / "manifest.json").read_bytes() == before
    assert publish(replace(publication, version=2)).is_dir()


def test_a_version_that_is_there_already_is_taken_as_it_is(publication: Publication) -> None:
    assert not is_in_store(publication)
    target = publish(publication)
    before = (target / "manifest.json").read_bytes()
    (target.parent / "README.md").unlink()  # as if it was killed before it wrote that
    assert is_in_store(publication)
    assert not is_in_store(changed(publication, description="other"))
    assert publish(publication, pytest.fail) == target
    assert (target / "manifest.json").read_bytes() == before
    assert (target.parent / "README.md").is_file()


def test_what_a_killed_run_has_left_vanishes(publication: Publication) -> None:
    folder = publication.store / "toy"
    left, used = folder / ".1-left", folder / ".1-used"
    left.mkdir(parents=True)
    used.mkdir()
    descriptor = os.open(used, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    publish(publication)
    os.close(descriptor)
    assert sorted(path.name for path in folder.iterdir()) == [".1-used", "1", "README.md"]


def test_a_store_names_its_first_model_the_default_and_keeps_it(publication: Publication) -> None:
    """Whatever is published later, and whatever its name."""
    for name, version in (("toy", 1), ("a", 1), ("toy", 1_732_800_000), ("z", 1)):
        target = publish(replace(changed(publication, name=name), version=version))
        assert open_bundle(target).manifest.version == version
        assert read_default(publication.store) == "toy"
        said = describe_default(publication.store)
        assert "answered by toy" in said
        assert str(publication.store / DEFAULT_NAME) in said


@pytest.mark.parametrize("name", ["toy", "a"])
def test_a_store_that_names_no_default_names_the_model_that_was_alone(
    publication: Publication, name: str
) -> None:
    """Before another one comes; a copy of it under another name does not count."""
    publish(publication)
    (publication.store / DEFAULT_NAME).unlink()
    shutil.copytree(publication.store / "toy", publication.store / "toy-copy")
    publish(replace(changed(publication, name=name), version=2))
    assert read_default(publication.store) == "toy"


def test_a_store_of_several_models_is_not_decided_for_but_asked_about(
    publication: Publication,
) -> None:
    for name in ("toy", "a"):
        publish(changed(publication, name=name))
    (publication.store / DEFAULT_NAME).unlink()
    publish(changed(publication, name="b"))
    assert read_default(publication.store) == ""
    assert "warning" in (said := describe_default(publication.store))
    assert all(part in said for part in (DEFAULT_NAME, "--default-model", "refused"))


def test_a_default_that_is_no_name_is_told_and_left_alone(publication: Publication) -> None:
    publication.store.mkdir()
    (publication.store / DEFAULT_NAME).write_text("two names")
    publish(publication)
    assert "must hold the name of one model" in describe_default(publication.store)


def test_a_big_file_needs_permission(publication: Publication) -> None:
    small = publication.recipe.publish.model_copy(update={"max_size_mb": 0.01})
    with pytest.raises(PublishError, match=r"model\.pt has 0\.\d MB, more than 0\.01 MB"):
        publish(changed(publication, publish=small))
    assert not publication.store.exists()


def test_a_version_that_would_not_load_never_appears(
    publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_badly(folder: Path, _manifest: object) -> None:
        (folder / "manifest.json").write_text("{}")

    monkeypatch.setattr(publish_module, "write_manifest", write_badly)
    with pytest.raises(PublishError, match=r"the version would not load: .*schema_version"):
        publish(publication)
    assert list((publication.store / "toy").iterdir()) == []
    assert read_default(publication.store) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "version: .* 0"),
        ({"version": 2**63}, "version: .* 9223372036854775808"),
    ],
)
def test_a_bad_version_is_told(
    publication: Publication, change: dict[str, str | int], message: str
) -> None:
    with pytest.raises(PublishError, match=message):
        publish(replace(publication, **change))  # type: ignore[arg-type]
    assert not publication.store.exists()


def copy_run(work: Path, to: Path) -> Path:
    to.mkdir()
    for path in work.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("name", ["best.pt", "model.pt"])
def test_figures_of_other_weights_are_not_published(
    publication: Publication, tmp_path: Path, name: str
) -> None:
    stale = copy_run(publication.work, tmp_path / "stale")
    report = json.loads((stale / "evaluation.json").read_text())
    report["sha256"][name] = "0" * 64
    (stale / "evaluation.json").write_text(json.dumps(report))
    with pytest.raises(PublishError, match=rf"evaluation\.json is not of this {name}"):
        publish(replace(publication, work=stale))


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("model.pt", "quantize"),
        ("evaluation.json", "evaluate"),
        ("best.pt", "train"),
        ("prepare.json", "prepare"),
    ],
)
def test_a_missing_file_names_the_verb_to_run(
    publication: Publication, tmp_path: Path, name: str, verb: str
) -> None:
    incomplete = copy_run(publication.work, tmp_path / "incomplete")
    (incomplete / name).unlink()
    with pytest.raises(
        MissingInputError, match=f"{name} is missing: run 'lstmserve-train {verb} RECIPE'"
    ):
        publish(replace(publication, work=incomplete))

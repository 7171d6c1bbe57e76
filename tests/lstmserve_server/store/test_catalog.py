"""Who answers a request that names a model, a version, both or neither."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from lstmserve_bundle import open_bundle
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.errors import InvalidRequestError, ModelNotFoundError
from lstmserve_server.store.catalog import ModelCatalog, Roster
from lstmserve_server.store.served_model import ServedModel
from support.stores import copy_version

NO_ENGINE = cast("EngineClient", None)  # the catalog never touches it
STORED = (("tiny", 2), ("another", 7), ("tiny", 10), ("tiny", 9))


@pytest.fixture(scope="module")
def served(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    store = tmp_path_factory.mktemp("catalog")
    folders = [copy_version(tiny_store / "tiny" / "1", store, *stored) for stored in STORED]
    return [ServedModel(open_bundle(folder), NO_ENGINE) for folder in folders]


@pytest.fixture
def catalog(served: list[ServedModel]) -> ModelCatalog:
    models = {(model.name, model.manifest.version): model for model in served}
    return ModelCatalog(Roster(models, {"tiny": {10: 1}, "another": {7: 1}}, "tiny"))


@pytest.mark.parametrize(
    ("name", "version", "answers"),
    [
        ("", "", ("tiny", "10")),
        ("tiny", "", ("tiny", "10")),
        ("another", "", ("another", "7")),
        ("tiny", "9", ("tiny", "9")),
        ("", "2", ("tiny", "2")),
        ("another", "7", ("another", "7")),
    ],
)
def test_what_a_request_leaves_out_is_the_default_model_and_its_newest_version(
    catalog: ModelCatalog, name: str, version: str, answers: tuple[str, str]
) -> None:
    found = catalog.resolve(name, version)
    assert (found.name, found.version) == answers


@pytest.mark.parametrize(
    ("name", "version", "resource", "known"),
    [
        ("nobody", "", "nobody", ("another", "tiny")),
        ("nobody", "1", "nobody", ("another", "tiny")),
        ("TINY", "", "TINY", ("another", "tiny")),
        ("tiny", "3", "tiny/3", ("2", "9", "10")),
        ("tiny", "09", "tiny/09", ("2", "9", "10")),
        ("another", "10", "another/10", ("7",)),
        ("", "7", "tiny/7", ("2", "9", "10")),
    ],
)
def test_what_is_not_served_is_named_with_what_is(
    catalog: ModelCatalog, name: str, version: str, resource: str, known: tuple[str, ...]
) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve(name, version)
    assert caught.value.resource == resource
    assert all(part in str(caught.value) for part in known)


def test_models_are_listed_by_name_newest_version_first(catalog: ModelCatalog) -> None:
    expected = [("another", "7"), ("tiny", "10"), ("tiny", "9"), ("tiny", "2")]
    assert [(model.name, model.version) for model in catalog] == expected


def test_exactly_one_version_is_the_default(catalog: ModelCatalog) -> None:
    defaults = [model for model in catalog if catalog.is_default(model)]
    assert defaults == [catalog.resolve("", "")]


@pytest.mark.parametrize("field", ["model", "name"])
@pytest.mark.parametrize("version", ["", "7"])
def test_without_a_default_model_a_request_must_name_one(
    served: list[ServedModel], field: str, version: str
) -> None:
    models = {(model.name, model.manifest.version): model for model in served}
    catalog = ModelCatalog(Roster(models, {"another": {7: 1}, "tiny": {10: 1}}))
    with pytest.raises(
        InvalidRequestError,
        match=f"{field}: must name a model, because this server has no default: another, tiny",
    ):
        catalog.resolve("", version, field=field)
    assert catalog.resolve("another", version).version == "7"
    assert not any(map(catalog.is_default, catalog))

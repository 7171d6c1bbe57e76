"""A recipe is read strictly, and what is wrong in it is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.families.versions import SIZES
from lstmserve_training.errors import MissingInputError, RecipeError
from lstmserve_training.families import FAMILIES
from lstmserve_training.recipe.network import OF_FAMILY, SUCH_AS
from lstmserve_training.recipe.reading import check, known_keys, read_recipe
from lstmserve_training.recipe.shipped import find_recipe, list_recipes
from lstmserve_training.recipe.toml import differences, flatten, write_toml, write_value

SMALL = """\
name = "faq"
kind = "replies"
license = "proprietary"

[[sources]]
name = "ours"
files = ["faq.csv"]
columns = { prompt = "Q", reply = "A" }

[training]
epochs = 5
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "faq.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_what_is_left_out_has_defaults(path: Path) -> None:
    recipe = read_recipe(path)
    assert (recipe.training.epochs, recipe.training.rows) == (5, 64)
    assert recipe.sources[0].columns.prompt == "Q"
    assert not recipe.cleaning.one_line
    assert recipe.tokenizer.mask == []


def test_keys_are_overridden_in_order(path: Path) -> None:
    given = ["training.epochs=3", "training.epochs=2", "sources.0.name=it's", "model.dropout = 0"]
    given += ['sources.0.files=["a.csv", "b.csv"]', "description=no quotes needed"]
    recipe = read_recipe(path, given)
    assert (recipe.training.epochs, recipe.model.dropout) == (2, 0)
    assert (recipe.sources[0].name, recipe.sources[0].files) == ("it's", ["a.csv", "b.csv"])
    assert recipe.description == "no quotes needed"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epoch=3", r"training\.epoch: unknown key; did you mean training\.epochs\?"),
        ("trainig.epochs=3", r"trainig: unknown key; did you mean training\?"),
        ("learning_rate=1", r"learning_rate: unknown key; did you mean training\.learning_rate\?"),
        (
            "model.xyzzy=1",
            r"model\.xyzzy: unknown key; known here: family, hidden, layers, projection",
        ),
        ("sources.0.column=1", r"sources\.0\.column: unknown key; did you mean sources\.columns"),
        ("training.epochs=many", r"training\.epochs: .*integer \(found 'many'\)"),
        ("training.epochs=0", r"training\.epochs: .*greater than 0 \(found 0\)"),
        ("training.epochs=2.5", r"training\.epochs: .*integer \(found 2.5\)"),
        ("model.hidden=100", r"model\.hidden: .*multiple of 64 \(found 100\)"),
        ("model.window=64", r"the family 'stacked' has no window: leave it out"),
        (
            "model.family=hybrid",
            r"'hybrid' needs more keys, such as attention = 64, heads = 2, window = 256",
        ),
        ("model.family=linear", r"model\.family: .*'transformer' \(found 'linear'\)"),
        ("model.hidden=4096", r"model\.hidden: .*less than or equal to 2048"),
        ("kind=poems", r"kind: .*'replies', 'conversations', 'lines' or 'text' \(found 'poems'\)"),
        ("license=", r"license: .*at least 1 character"),
        ("sources.3.name=x", r"'3' is not one of the numbers 0 to 0"),
        ("training.epochs.x=1", r"'epochs' is a value, and holds no keys"),
        ("training.epochs", r"an override is KEY=VALUE, such as training\.epochs=3"),
        ("kind=lines", ""),
        ("sources.0.kind=text", r"'ours' holds text, the model replies: dialogues and text do not"),
        ("sources.0.use=validation", r"no source has the use 'training'"),
        ("sampling.max_tokens=600", r"sampling\.max_tokens is above limits\.max_tokens"),
        ('cleaning.drop_matching="("', r"cleaning\.drop_matching: is no regular expression"),
        ("tokenizer.kind=file", r"tokenizer: kind 'file' and the key 'file' belong together"),
    ],
)
def test_what_is_wrong_is_named(path: Path, override: str, said: str) -> None:
    if not said:
        assert read_recipe(path, [override]).kind == "lines"
        return
    with pytest.raises(RecipeError, match=said):
        read_recipe(path, [override])


def test_everything_that_is_wrong_is_told_at_once(path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, ["training.epoch=3", "model.hidden=7", "colour=blue"])
    for word in ("training.epoch:", "model.hidden:", "colour:"):
        assert f"{path}: {word}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.heads=3", "attention must be a multiple of heads, 3"),
        ("model.hidden=1088", "hidden must be at most 1024 in the family 'transformer'"),
        ("model.window=576", "a state would have 294976 values, of which 262208 are allowed"),
        ("model.weight_drop=0.5", "weight_drop is no key of the family 'transformer'"),
    ],
)
def test_what_a_transformer_cannot_be_is_named(path: Path, override: str, said: str) -> None:
    sizes = ["family=transformer", "attention=128", "heads=2", "window=128"]
    overrides = [f"model.{size}" for size in sizes]
    assert read_recipe(path, [*overrides, "model.layers=8"]).model.window == 128  # the most
    with pytest.raises(RecipeError, match=said):
        read_recipe(path, [*overrides, override])


def test_every_family_of_recipes_can_be_made() -> None:
    assert FAMILIES.keys() == OF_FAMILY.keys() == SIZES.keys()  # and the last are tried


@pytest.mark.parametrize("family", OF_FAMILY)
def test_the_keys_that_a_family_is_told_to_need_are_enough(path: Path, family: str) -> None:
    keys = [f"model.{name}={SUCH_AS[name]}" for name in OF_FAMILY[family]]
    assert read_recipe(path, [f"model.family={family}", *keys]).model.family == family


@pytest.mark.parametrize("text", ["name = \nkind", "[a]\n[a]\n", "= 1"])
def test_a_file_that_is_no_toml_is_told_with_its_line(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"faq\.toml: not TOML: .*line \d"):
        read_recipe(path)


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000])
def test_what_is_beyond_the_parser_is_told_in_words(path: Path, value: str) -> None:
    path.write_text(f"name = {value}", encoding="utf-8")
    with pytest.raises(RecipeError, match="a number is too long, or lists are too deep"):
        read_recipe(path)


def test_a_missing_recipe_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="lstmserve-train init KIND FILE"):
        read_recipe(tmp_path / "none.toml")


def test_a_mark_at_the_start_of_the_file_is_no_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_recipe(path).name == "faq"


def test_what_is_in_force_is_a_recipe_again(path: Path) -> None:
    recipe = read_recipe(path, ['cleaning.replace=[{pattern="a\\\\d", by="\\"\\n"}]'])
    assert check(tomllib.loads(write_toml(recipe)), "printed") == recipe


@given(st.text() | st.lists(st.text() | st.integers() | st.booleans()) | st.floats(allow_nan=False))
def test_any_value_comes_back(value: object) -> None:
    text = write_value(value)
    assert "\n" not in text
    assert tomllib.loads(f"value = {text}")["value"] == value


def test_differences_name_keys(path: Path) -> None:
    one, other = (flatten(read_recipe(path, given).model_dump()) for given in ([], ["seed=2"]))
    assert differences(one, other) == ["seed: 1 -> 2"]
    assert differences({"a": 1}, {"b": True}) == ["a: 1 -> nothing", "b: nothing -> true"]
    assert differences(one, one) == []


def test_every_key_says_what_it_means() -> None:
    names = set(known_keys())
    assert {"sources.columns.prompt", "cleaning.replace.pattern", "training.epochs"} <= names


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_that_ship_are_read(name: str) -> None:
    recipe = read_recipe(find_recipe(name) / f"{name}.toml")
    assert recipe.name == name
    assert all(source.license for source in recipe.sources)

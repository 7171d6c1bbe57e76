"""``constraints.json``: its forms, and the classes of characters that they refer to."""

from __future__ import annotations

import json

import pytest

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.forms import parse_forms

CLASSES = {"level": "东冬", "oblique": "董肿"}


def test_a_form_has_the_classes_that_it_refers_to() -> None:
    document = {
        "$classes": CLASSES,
        "one": {"regex": "{{level}}(?:a|b)?", "with_prompt": True},
        "own": {"regex": "{{level}}{{oblique}}", "classes": {"level": "江"}},
        "none": {"choices": ["{{level}}"]},
    }
    forms = parse_forms(json.dumps(document), "here")
    assert list(forms) == ["one", "own", "none"]
    assert forms["one"].classes == {"level": "东冬"}
    assert forms["one"].with_prompt
    assert forms["own"].classes == {"level": "江", "oblique": "董肿"}
    assert forms["none"].classes == {}
    assert not forms["none"].with_prompt


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"a": {"regex": "{{rhyme}}"}}, r"a: refers to \{\{rhyme\}\}, which is no class"),
        (
            {"$classes": CLASSES, "a": {"regex": "{{level}}[a-z]"}},
            r"a: has '\[' beside classes; there characters stand for themselves",
        ),
        ({"$classes": CLASSES, "a": {"regex": "(?i){{level}}"}}, r"a: has '\(\?' beside classes"),
        ({"$classes": {"level": ""}}, r"here: \$classes\.level"),
        ({"$classes": {"level": "a\0"}}, r"here: \$classes\.level"),
        ({"$classes": {"Level": "a"}}, r"here: \$classes\.Level"),
        ({"a": {"regex": "a", "with_prompt": "yes"}}, r"here: a\.with_prompt"),
        ({"A": {"regex": "a"}}, "A"),
        ({"a": {}}, "a: Value error, must have one of regex, choices, json_schema"),
    ],
)
def test_what_is_wrong_is_named(document: object, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        parse_forms(json.dumps(document), "here")

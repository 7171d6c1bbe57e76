"""A model without roles goes on with a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import Bundle, ManifestError, PromptTemplate, Turn
from lstmserve_bundle.manifest import TemplateManifest, read_manifest

PLAIN = TemplateManifest(role_tokens={}, reply_role="", end_token="<|end|>")


@pytest.fixture
def template(bundle: Bundle) -> PromptTemplate:
    return PromptTemplate(PLAIN, bundle.tokenizer)


def test_a_text_stands_after_the_token_that_ends_texts(
    bundle: Bundle, template: PromptTemplate
) -> None:
    assert template.render_prompt("once") == [template.end_id, *bundle.tokenizer.encode("once")]
    assert template.render_prompt("") == [template.end_id]
    assert not template.has_roles
    assert bundle.template.has_roles


def test_turns_are_texts_one_after_the_other(template: PromptTemplate) -> None:
    turns = [Turn("user", "one"), Turn("agent", "two"), Turn("user", "three")]
    rendered = template.render_conversation(turns)
    assert rendered == [t for turn in turns for t in template.render_prompt(turn.text)]
    assert template.reply_starts(rendered) == []


@pytest.mark.parametrize("wrong", [{"reply_role": "agent"}, {"role_tokens": {"user": "<|user|>"}}])
def test_half_of_the_roles_are_refused(
    folder: Path, edit: Callable[[Callable[[dict[str, Any]], object]], None], wrong: dict[str, Any]
) -> None:
    edit(lambda document: document["template"].update(role_tokens={}, reply_role=""))
    assert not read_manifest(folder).template.role_tokens
    edit(lambda document: document["template"].update(wrong))
    with pytest.raises(ManifestError, match="role"):
        read_manifest(folder)

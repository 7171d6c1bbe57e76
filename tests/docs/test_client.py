"""The examples of the client's guide run as they stand, against the fake service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import lstmserve_client
from lstmserve_client import Classification, ClientOptions, GenerateOptions, Label, errors
from lstmserve_client.config import DEFAULT_TARGET
from lstmserve_client.testing import FakeReply, FakeService, make_model

GUIDE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ERROR = re.compile(r"`(\w+Error)` \|", re.MULTILINE)


def test_every_example_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = Classification(Label("refund", 0.9), (Label("return", 0.1),), 0.95)
    models = [make_model("support-en", "4")]
    service = FakeService({"Where is my order?": "On its way."}, models=models)
    service.reply_to("Is it urgent?", '{"topic": "refund", "urgent": true}')
    for text in ("I want my money back", "Where is my parcel?"):
        service.reply_to(text, FakeReply("It is here.", classification=about))
    monkeypatch.setattr(lstmserve_client, "Client", service.client)
    monkeypatch.setattr(lstmserve_client, "AsyncClient", service.async_client)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    (tmp_path / "token").write_text("secret\n")
    names: dict[str, Any] = {}  # one reader, from top to bottom
    for block in BLOCK.findall(GUIDE):
        exec(compile(block, "docs/client.md", "exec"), names)
    assert capsys.readouterr().out.startswith("On its way.\n")
    assert len(service.requests) > 10


def test_the_examples_of_the_readme_run_and_begin_with_the_server_that_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = FakeService()
    monkeypatch.setattr(lstmserve_client, "Client", service.client)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    names: dict[str, Any] = {}
    first, *others = BLOCK.findall(readme)
    assert f'Client("{DEFAULT_TARGET}")' in first
    for block in (first, *others):
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("You said: where is my refund?\nYou said: ")


def test_every_error_is_told() -> None:
    own = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.LstmserveError)
    }
    assert set(ERROR.findall(GUIDE)) == own


def test_every_option_is_told() -> None:
    told = GUIDE.partition("## Options")[2].partition("\n## ")[0]
    names = ClientOptions.__optional_keys__ | GenerateOptions.__optional_keys__
    assert {name for name in names if f"`{name}`" not in told} == set()


def test_every_method_of_the_fake_is_told() -> None:
    public = {name for name in vars(FakeService) if not name.startswith("_")}
    testing = GUIDE.partition("## Testing your own code")[2]
    assert {
        name for name in public if f"`{name}" not in testing and f".{name}" not in testing
    } == set()

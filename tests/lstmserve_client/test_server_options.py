"""How the command reaches its server: several targets, TLS and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lstmserve
    from support.fake_server import FakeServer

REPLY = "Hello [bold]you\n"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    return path


def test_of_several_targets_one_that_answers_is_enough(
    lstmserve: Lstmserve, fake: FakeServer, dead_target: str
) -> None:
    result = lstmserve("generate", "hi", "--target", f"{dead_target}, {fake.target}")
    assert (result.exit_code, result.stdout, result.stderr) == (0, REPLY, "")


@pytest.mark.parametrize("targets", [",", "a:1,", " ,a:1"])
def test_a_target_that_is_empty_is_refused(lstmserve: Lstmserve, targets: str) -> None:
    result = lstmserve("generate", "hi", "--target", targets)
    assert result.exit_code == 2
    assert "--target" in result.stderr


@pytest.mark.parametrize("verb", [["cache", "stats"], ["log-level"], ["models", "load", "m", "1"]])
def test_administration_wants_one_target(
    lstmserve: Lstmserve, fake: FakeServer, verb: list[str]
) -> None:
    result = lstmserve(*verb, "--target", f"{fake.target},{fake.target}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: target: administration is for one server at a time")
    assert fake.changes == []


def test_a_token_comes_from_a_file(lstmserve: Lstmserve, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    lstmserve("generate", "hi", "--token-file", str(tmp_path / "token"))
    assert fake.metadata[0]["authorization"] == "Bearer secret"


def test_a_token_comes_from_the_environment(
    lstmserve: Lstmserve, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTMSERVE_TOKEN", "secret")
    lstmserve("generate", "hi")
    lstmserve("cache", "warm", "-", stdin="hi\n")
    assert [each["authorization"] for each in fake.metadata] == ["Bearer secret"] * 2


def test_without_a_token_none_is_sent(lstmserve: Lstmserve, fake: FakeServer) -> None:
    lstmserve("generate", "hi")
    assert "authorization" not in fake.metadata[0]


@pytest.mark.parametrize("content", ["", "\n", "two words", "né"])
def test_a_file_that_holds_no_token_is_refused(
    lstmserve: Lstmserve, fake: FakeServer, tmp_path: Path, content: str
) -> None:
    (tmp_path / "token").write_text(content, "utf-8")
    result = lstmserve("generate", "hi", "--token-file", str(tmp_path / "token"))
    assert (result.exit_code, result.stdout, fake.requests) == (2, "", [])
    assert "token: must be printable ASCII" in result.stderr
    assert "words" not in result.stderr


def test_a_token_does_not_leave_the_machine_in_clear(
    lstmserve: Lstmserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTMSERVE_TOKEN", "secret")
    result = lstmserve("generate", "hi", "--target", "models.example.org:50051")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "token: would be sent in clear" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("option", ["--tls-certificate", "--tls-key"])
def test_a_certificate_and_its_key_come_together(
    lstmserve: Lstmserve, pem: Path, option: str
) -> None:
    result = lstmserve("generate", "hi", option, str(pem))
    assert result.exit_code == 2
    assert "certificate and key" in result.stderr


@pytest.mark.parametrize(
    "option", ["--tls-authority", "--tls-certificate", "--tls-key", "--token-file"]
)
def test_a_file_that_is_not_there_is_named(
    lstmserve: Lstmserve, tmp_path: Path, option: str
) -> None:
    result = lstmserve("generate", "hi", option, str(tmp_path / "none"))
    assert result.exit_code == 2
    assert option in result.stderr


@pytest.mark.parametrize("options", [["--tls"], ["--tls-server-name", "a"]], ids=lambda o: o[0])
def test_a_server_in_clear_is_none_for_who_wants_tls(
    lstmserve: Lstmserve, fake: FakeServer, options: list[str]
) -> None:
    result = lstmserve("generate", "hi", "--timeout", "2", *options)
    assert (result.exit_code, result.stdout, fake.requests) == (1, "", [])
    assert result.stderr.startswith(f"error: no server answers at {fake.target} (")

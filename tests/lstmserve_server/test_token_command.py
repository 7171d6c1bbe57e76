"""Making tokens: what goes into the file, what goes to the caller, and that the two fit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import command
from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.principal import Register
from lstmserve_server.auth.tokens import TOKEN
from support.callers import bearer
from support.refusals import try_once
from support.served import serve


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_program(command("token", *arguments), capture_output=True, text=True, check=False)


def test_what_it_prints_lets_the_caller_in(tiny_store: Path, tmp_path: Path) -> None:
    made = make("shop", "--scope", "generate", "--scope", "admin", "--scope", "admin")
    token = made.stderr.splitlines()[-1]
    assert (made.returncode, bool(TOKEN.fullmatch(token))) == (0, True)
    assert token not in made.stdout
    path = tmp_path / "callers.toml"
    path.write_text(made.stdout)
    (principal,) = parse_callers(read_file(path), path)
    assert principal.name == "shop"
    assert {scope.value for scope in principal.scopes} == {"generate", "admin"}
    assert Register([principal]).find_by_token(token) == principal
    with serve(tiny_store, "--auth-file", str(path)) as served:
        assert try_once(served, bearer(token)) == "OK"


def test_each_is_another(tmp_path: Path) -> None:
    """And several outputs one after the other are a file."""
    path = tmp_path / "callers.toml"
    made = [make(name, "--scope", "generate") for name in ("one", "two")]
    assert len({one.stderr for one in made}) == 2
    path.write_text("".join(one.stdout for one in made))
    assert len(parse_callers(read_file(path), path)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("two words", "--scope", "admin"), "name"),
        (('quo"te\\', "--scope", "admin"), "name"),
        (("shop",), "--scope"),
        (("shop", "--scope", "root"), "'root' is not one of 'generate', 'admin'"),
        ((), "NAME"),
    ],
)
def test_what_cannot_be_is_said_and_no_token_made(arguments: tuple[str, ...], said: str) -> None:
    made = make(*arguments)
    assert (made.returncode, made.stdout) == (2, "")
    assert said in made.stderr
    assert "lst_" not in made.stderr
    assert "Traceback" not in made.stderr


def test_a_server_says_what_is_wrong_with_its_file_and_does_not_start(
    tiny_store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "callers.toml"
    path.write_text('[[principals]]\nname = "shop"\nscopes = []\ntokens = ["secret"]\n')
    for workers in ("1", "2"):
        ended = run_program(
            command(
                *("--model-store", str(tiny_store), "--auth-file", str(path)),
                *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
                *("--workers", workers),
            ),
            capture_output=True,
            text=True,
            check=False,
            start=preloaded.start,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"lstmserve-server: --auth-file: {path}: principal 'shop': scopes: ")
        assert "principal 'shop': tokens: 0: must be sha256:" in line
        assert "secret" not in line

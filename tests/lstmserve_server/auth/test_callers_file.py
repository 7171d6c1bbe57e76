"""What may stand in the file of callers, and how it is said what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lstmserve_server.auth.callers_file import MAX_FILE_BYTES, parse_callers, read_file
from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash
from lstmserve_server.errors import StartupError
from support.callers import to_toml

TOKEN = make_token()
HASH = show_hash(hash_token(TOKEN))
PATH = Path("callers.toml")
GOOD: dict[str, object] = {"name": "shop", "scopes": ["generate"], "tokens": [HASH]}


def parse(*entries: dict[str, object]) -> list[Principal]:
    return parse_callers("\n".join(map(to_toml, entries)).encode(), PATH)


def refuse(text: str) -> str:
    with pytest.raises(StartupError) as caught:
        parse_callers(text.encode(), PATH)
    said = str(caught.value)
    assert said.startswith("--auth-file: callers.toml: ")
    assert "\n" not in said
    return said.removeprefix("--auth-file: callers.toml: ")


def test_a_principal_is_what_stands_there() -> None:
    keys = {"requests_per_second": 2.5, "burst": 7, "max_concurrent": 3, "cache": "own"}
    other = {"name": "ops", "scopes": ["admin", "generate"], "certificates": ["ops.example"]}
    assert parse({**GOOD, **keys}, other) == [
        Principal(
            "shop", frozenset({Scope.GENERATE}), (hash_token(TOKEN),), (), 2.5, 7.0, 3,
            has_own_cache=True,
        ),
        Principal("ops", frozenset(Scope), (), ("ops.example",)),
    ]  # fmt: skip


def test_callers_who_prove_nothing_are_one_principal_where_the_file_lets_them_in() -> None:
    text = f'anonymous = ["generate"]\n{to_toml(GOOD)}'
    shop, anonymous = parse_callers(text.encode(), PATH)
    assert (shop.name, shop.is_anonymous) == ("shop", False)
    assert anonymous == Principal("anonymous", frozenset({Scope.GENERATE}))
    assert parse_callers(b'anonymous = ["generate"]', PATH) == [anonymous]


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_a_burst_is_a_second_unless_it_is_said(rate: float, burst: float) -> None:
    (principal,) = parse({**GOOD, "requests_per_second": rate})
    assert principal.burst == burst


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "two words"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a:b"}, "name"),
        ({"name": "shop\n"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"name": 7}, "name"),
        ({"name": "anonymous"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"scopes": "admin"}, "scopes"),
        ({"scopes": ["admin", "admin"]}, "scopes"),
        ({"tokens": [TOKEN]}, "tokens: 0"),
        ({"tokens": [HASH, "md5:" + "0" * 32]}, "tokens: 1"),
        ({"tokens": ["sha1:" + "0" * 40]}, "tokens: 0"),
        ({"tokens": [HASH.removeprefix("sha256:")]}, "tokens: 0"),
        ({"tokens": [HASH.upper()]}, "tokens: 0"),
        ({"tokens": [HASH[:-1]]}, "tokens: 0"),
        ({"tokens": [HASH + "\n"]}, "tokens: 0"),
        ({"tokens": HASH}, "tokens"),
        ({"tokens": [HASH, HASH]}, "tokens"),
        ({"tokens": []}, "tokens or certificates"),
        ({"certificates": [""]}, "certificates"),
        ({"certificates": ["a", "a"]}, "certificates"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"requests_per_second": -1.0}, "requests_per_second"),
        ({"requests_per_second": True}, "requests_per_second"),
        ({"requests_per_second": "5"}, "requests_per_second"),
        ({"burst": 5}, "burst"),
        ({"burst": 0, "requests_per_second": 1}, "burst"),
        ({"burst": 1.5, "requests_per_second": 1}, "burst"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"cache": "mine"}, "cache"),
        ({"token": HASH}, "token"),
        ({"scope": "admin"}, "scope: is not a known key"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(change: dict[str, object], key: str) -> None:
    said = refuse(to_toml({**GOOD, **change}))
    assert key in said
    assert "principal" in said
    if "name" not in change:
        assert "'shop'" in said
    assert TOKEN not in said
    assert HASH.removeprefix("sha256:")[:-1] not in said


@pytest.mark.parametrize("number", ["inf", "nan"])
def test_a_rate_is_a_number(number: str) -> None:
    assert "requests_per_second" in refuse(f"{to_toml(GOOD)}requests_per_second = {number}\n")


def test_nothing_may_belong_to_two() -> None:
    other = {**GOOD, "name": "other", "tokens": [show_hash(hash_token("x"))]}
    pairs = (
        ({**other, "name": "shop"}, "principal 'shop': name"),
        ({**other, "tokens": [HASH]}, "principal 'other': tokens"),
    )
    for entry, named in pairs:
        assert named in refuse(f"{to_toml(GOOD)}\n{to_toml(entry)}")
    certified = [{**entry, "certificates": ["a.example"]} for entry in (GOOD, other)]
    assert "principal 'other': certificates" in refuse("\n".join(map(to_toml, certified)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nobody could call"),
        ("principals = []", "nobody could call"),
        ("principals = []\nanonymous = []", "nobody could call"),
        ('anonymous = ["admin"]', "anonymous: Input should be 'generate'"),
        ('anonymous = ["generate", "generate"]', "anonymous"),
        ("anonymous = true", "anonymous"),
        ("principals = 5", "principals"),
        ("principals = [5]", "principals[0]"),
        ("a = 1\n" + to_toml(GOOD), "a: is not a known key"),
        ("[[principals]", "is not valid TOML"),
        (to_toml({"scopes": ["admin"]}), "principals[0]: name"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, said: str) -> None:
    assert said in refuse(text)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(StartupError, match="is not UTF-8"):
        parse_callers(b"\xff", PATH)


def test_a_file_that_everybody_may_write_or_that_is_none_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    with pytest.raises(StartupError, match=r"callers.toml: No such file"):
        read_file(path)
    path.write_text(to_toml(GOOD))
    path.chmod(0o444)  # as a mounted secret is
    assert read_file(path).decode() == to_toml(GOOD)
    path.chmod(0o646)
    with pytest.raises(StartupError, match="everybody on this machine may write it"):
        read_file(path)
    path.chmod(0o644)
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(StartupError, match="more than 1048576 bytes"):
        read_file(path)
    with pytest.raises(StartupError, match="Is a directory"):
        read_file(tmp_path)


@pytest.mark.parametrize("text", ["a = " + "[" * 20_000, "a = " + "9" * 5_000])
def test_what_the_parser_gives_up_on_is_no_toml(text: str) -> None:
    assert refuse(text) == "is not valid TOML: a number is too long, or lists are too deep"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "callers.toml"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(StartupError, match="not a regular file"):
        read_file(pipe)


def test_a_rate_whose_delay_no_client_can_be_told_is_refused() -> None:
    with pytest.raises(StartupError, match="requests_per_second"):
        parse({**GOOD, "requests_per_second": 1e-12})

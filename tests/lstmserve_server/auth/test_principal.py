"""Whose token, or whose certificate, it is."""

from __future__ import annotations

import pytest

from lstmserve_server.auth import principal as module
from lstmserve_server.auth.principal import Principal, Register, Scope
from lstmserve_server.auth.tokens import TOKEN, hash_token, make_token, parse_hash, show_hash

TOKENS = [make_token() for _ in range(6)]
PRINCIPALS = [
    Principal(
        f"p{number}",
        frozenset({Scope.GENERATE}),
        (hash_token(TOKENS[2 * number]), hash_token(TOKENS[2 * number + 1])),
        (f"p{number}.example", f"spiffe://example/p{number}"),
    )
    for number in range(3)
]


def test_each_of_several_tokens_is_its_principals() -> None:
    register = Register(PRINCIPALS)
    found = [register.find_by_token(token) for token in TOKENS]
    assert found == [principal for principal in PRINCIPALS for _ in range(2)]
    assert register.find_by_token(make_token()) is None
    assert register.find_by_token(TOKENS[0][:-1]) is None


def test_every_hash_is_compared_wherever_the_right_one_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []

    def compare(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return known == given

    monkeypatch.setattr(module, "compare_digest", compare)
    register = Register(PRINCIPALS)
    for token in (*TOKENS, make_token()):
        compared.clear()
        register.find_by_token(token)
        assert compared == [hash_token(token) for token in TOKENS]


def test_a_certificate_is_of_one_principal_or_of_nobody() -> None:
    register = Register(PRINCIPALS)
    assert register.find_by_certificate(["p1.example"]) == PRINCIPALS[1]
    assert register.find_by_certificate(["x", "spiffe://example/p2", "p2.example"]) == PRINCIPALS[2]
    assert register.find_by_certificate(["p1.example", "p2.example"]) is None
    assert register.find_by_certificate(["P1.example", "example", ""]) is None
    assert register.find_by_certificate([]) is None


def test_tokens_are_new_each_time_and_hashes_are_read_as_they_are_shown() -> None:
    made = {make_token() for _ in range(1000)}
    assert len(made) == 1000
    assert all(TOKEN.fullmatch(token) for token in made)
    assert parse_hash(show_hash(hash_token("x"))) == hash_token("x")


def test_a_principal_shows_no_hash() -> None:
    assert "token" not in repr(PRINCIPALS[0])

"""What follows from whom a call is from: no caller can be taken for another."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.rpc.door import read_certificate_names
from lstmserve_server.rpc.identity import Identity, sticky_key, to_scope
from lstmserve_server.rpc.metadata import parse_bearer, read_authorizations
from support.wire_requests import conversation, make_request

REQUESTS = (
    make_request("hello"),
    make_request("hello", seed=7),
    pb.GenerateReplyRequest(prompt="hello"),
    pb.GenerateRequest(conversation=conversation("hello")),
    pb.GenerateRequest(conversation=conversation("hello", "hi", "and now?")),
)
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
USERS = NAMES | st.just("")
SHOP = Principal("shop", frozenset({Scope.GENERATE}))
TOKEN = f"lst_{'a' * 43}"


def identities(*, own: bool) -> st.SearchStrategy[Identity]:
    principals = st.builds(Principal, NAMES, st.just(SHOP.scopes), has_own_cache=st.just(own))
    return st.builds(Identity, USERS, st.none() | principals)


def who(identity: Identity) -> tuple[str, str | None]:
    return identity.user, identity.principal and identity.principal.name


@given(one=identities(own=False), other=identities(own=True))
def test_callers_have_one_scope_only_if_they_are_one(one: Identity, other: Identity) -> None:
    scopes = {each.cache_scope(is_per_caller=True) for each in (one, other)}
    assert (len(scopes) == 1) == (who(one) == who(other))
    assert "" not in scopes


@given(one=identities(own=True), other=identities(own=True))
def test_principals_with_a_cache_of_their_own_share_with_nobody_else(
    one: Identity, other: Identity
) -> None:
    scopes = [each.cache_scope(is_per_caller=False) for each in (one, other)]
    owners = [each.principal and each.principal.name for each in (one, other)]
    assert (scopes[0] == scopes[1]) == (owners[0] == owners[1])
    assert [not scope for scope in scopes] == [owner is None for owner in owners]


@given(one=identities(own=False), other=identities(own=False))
def test_named_users_stay_on_a_version_by_themselves(one: Identity, other: Identity) -> None:
    assert bool(one.sticky) == bool(one.user)
    if one.user and one.sticky == other.sticky:
        assert who(one) == who(other)


def test_a_principal_has_its_own_name_whatever_it_says_of_its_users() -> None:
    assert Identity("bob", SHOP).name == "shop"
    assert Identity("bob").name == "bob"


def test_who_proves_nothing_shares_as_whoever_it_says_it_is_and_as_no_principal() -> None:
    nobody = Principal("anonymous", SHOP.scopes)
    assert Identity("", nobody).name == "anonymous"
    assert Identity("shop", nobody).name == "anonymous/shop"
    assert not Identity("shop", nobody).may_administer


@given(identity=identities(own=True), is_per_caller=st.booleans())
def test_an_administrator_can_name_every_scope(identity: Identity, *, is_per_caller: bool) -> None:
    if identity.principal is None:
        return
    name = identity.principal.name
    caller = f"{name}/{identity.user}" if is_per_caller and identity.user else name
    scope = to_scope(caller, Identity(principal=SHOP), is_per_caller=is_per_caller)
    assert scope == identity.cache_scope(is_per_caller=is_per_caller)


@pytest.mark.parametrize(("caller", "principal"), [("bob", None), ("shop/bob", SHOP)])
def test_who_can_own_nothing_is_no_owner(caller: str, principal: Principal | None) -> None:
    with pytest.raises(InvalidRequestError, match="caller"):
        to_scope(caller, Identity(principal=principal), is_per_caller=False)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR    "])
def test_a_bearer_token_is_read_in_any_case_of_its_scheme(scheme: str) -> None:
    assert parse_bearer(scheme + TOKEN) == TOKEN


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", f" Bearer {TOKEN}"),
        *(f"Bearer {TOKEN} ", f"Bearer {TOKEN}\n", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}a"),
        *(f"Bearer {TOKEN},Bearer {TOKEN}", f"Bearer {TOKEN.upper()}", f"Bearer\t{TOKEN}"),
        *("Bearer password", f"Bearer lst_{'é' * 43}", f"Bearer lst_{'٣' * 43}"),
        *(b"Bearer " + TOKEN.encode(), "Bearer " + "a" * 100_000),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_whatever_else_is_sent_is_no_token(value: str | bytes) -> None:
    assert parse_bearer(value) is None


def test_only_one_key_can_hold_a_token() -> None:
    keys = ("authorization-bin", "x-authorization", "proxy-authorization", "Authorization")
    assert read_authorizations([(key, TOKEN) for key in keys]) == []
    assert read_authorizations([("authorization", text) for text in "ab"]) == ["a", "b"]


ALTERNATIVES, COMMON = "x509_subject_alternative_name", "x509_common_name"


def test_the_common_name_counts_only_without_other_names() -> None:
    for others, common in product(([], [b"a.example", b"spiffe://x"]), ([], [b"cn"])):
        names = read_certificate_names({ALTERNATIVES: others, COMMON: common})
        assert names == [name.decode() for name in others or common]
    assert read_certificate_names({"transport_security_type": [b"ssl"]}) == []
    assert read_certificate_names({COMMON: [b"\xff"]}) == ["\ufffd"]


def test_all_turns_of_a_nameless_conversation_have_one_key() -> None:
    assert len({sticky_key(request, ANONYMOUS) for request in REQUESTS}) == 1
    other = pb.GenerateRequest(conversation=conversation("hello!", "hi", "and now?"))
    assert sticky_key(other, ANONYMOUS) != sticky_key(REQUESTS[-1], ANONYMOUS)


def test_a_caller_has_one_key_whatever_it_asks() -> None:
    assert len({sticky_key(request, "bot") for request in (*REQUESTS, make_request("bye"))}) == 1
    assert sticky_key(REQUESTS[0], "bot") != sticky_key(REQUESTS[0], "another")


@pytest.mark.parametrize("request_", [pb.GenerateRequest(), pb.GenerateReplyRequest()])
def test_a_request_without_anything_has_a_key(request_: pb.GenerateRequest) -> None:
    assert sticky_key(request_, ANONYMOUS)


def test_no_caller_is_taken_for_a_prompt() -> None:
    assert sticky_key(make_request("bot"), ANONYMOUS) != sticky_key(make_request("x"), "bot")

"""Whom a call is from, and what that decides: its turn, its version, and its part of the cache."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.validation import Input

SHARED_SCOPE = ""
SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal and, by its own word, one of its users.

    Without a principal nobody has to prove anything, and the user is all that is known.
    """

    user: str = ANONYMOUS  # x-caller-id
    principal: Principal | None = None

    @property
    def name(self) -> str:
        """Who shares fairly with others, and stands in logs and traces."""
        if self.principal is None:
            return self.user
        if self.principal.is_anonymous and self.user != ANONYMOUS:
            return f"{self.principal.name}/{self.user}"  # which is no principal's name
        return self.principal.name

    @property
    def may_administer(self) -> bool:
        return self.principal is None or Scope.ADMIN in self.principal.scopes

    def most_at_once(self, most: int) -> int:
        """Return how many replies to one request may be made at the same time, ``most`` at most."""
        own = None if self.principal is None else self.principal.max_concurrent
        return most if own is None else min(own, most)

    @property
    def sticky(self) -> str:
        """Who stays on one version; empty for a user that has no name."""
        if self.principal is None or self.user == ANONYMOUS:
            return self.user
        return f"{self.principal.name}/{self.user}"

    def cache_scope(self, *, is_per_caller: bool) -> str:
        """Return the scope of the kept replies and states that this caller gets and keeps."""
        if self.principal is None:
            return user_scope(self.user) if is_per_caller else SHARED_SCOPE
        if is_per_caller:
            return principal_scope(self.principal.name, self.user)
        return (
            principal_scope(self.principal.name) if self.principal.has_own_cache else SHARED_SCOPE
        )


NOBODY = Identity()  # whom nothing is known of yet, or at all


def user_scope(user: str) -> str:
    """Return the scope of one caller, who may be nameless; never the one that all share."""
    return f"caller:{user}"


def principal_scope(name: str, user: str | None = None) -> str:
    """Return the scope of a principal, or of one of its users, who may be nameless.

    No name holds '/' or ':', so two of these are equal only if both parts are, and none is a
    ``user_scope``.
    """
    return f"principal:{name}" if user is None else f"principal:{name}/caller:{user}"


def sticky_key(request: Input, caller: str) -> str:
    """Return what keeps a caller on one version while several share a model's requests.

    It is the caller or, where it gives no name, what its conversation began with.

    So all turns of one conversation go to one version, on every replica.
    """
    if caller != ANONYMOUS:
        return f"caller:{caller}"
    turns = request.conversation.turns
    return f"prompt:{turns[0].text if turns else request.prompt}"


def to_scope(caller: str, asking: Identity, *, is_per_caller: bool) -> str:
    """Return the scope to purge for ``caller``, which is PRINCIPAL or PRINCIPAL/USER where
    callers are principals.

    Raises InvalidRequestError when such a caller can own nothing.
    """
    if asking.principal is None:
        if not is_per_caller:
            raise _refused("callers share what is kept (--cache-scope shared); leave it out")
        return user_scope(caller)
    name, separator, user = caller.partition(SEPARATOR)
    if is_per_caller:
        return principal_scope(name, user)
    if separator:
        raise _refused("users share what their principal keeps (--cache-scope shared); name it")
    return principal_scope(name)


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation("caller", reason)])

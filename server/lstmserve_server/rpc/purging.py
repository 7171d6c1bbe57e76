"""Whose entries an administrator purges, by the name that stands in the request."""

from __future__ import annotations

from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.identity import Identity, principal_scope, user_scope

SEPARATOR = "/"


def to_scope(caller: str, asking: Identity, *, is_per_caller: bool) -> str:
    """The scope of ``caller``: where callers are principals, PRINCIPAL or PRINCIPAL/USER.

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

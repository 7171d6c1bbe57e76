"""Lets calls in, or not: who calls, whether it may, and whether it has not had enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

import grpc

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.auth.principal import AuthObserver, Failure, Principal
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.errors import UnauthenticatedError
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.identity import Identity
from lstmserve_server.rpc.metadata import parse_bearer, read_authorizations, read_caller
from lstmserve_server.rpc.permissions import check_permission, is_permitted

ALTERNATIVE_NAMES, COMMON_NAME = "x509_subject_alternative_name", "x509_common_name"

AuthContext = Mapping[str, Iterable[bytes]]
Context = grpc.aio.ServicerContext[Any, Any]


def read_certificate_names(context: AuthContext) -> list[str]:
    """Return the names in the certificate that the other end has proved to be its own.

    The common name counts only where there is no other (RFC 9525): authorities check it less.
    """
    for key in (ALTERNATIVE_NAMES, COMMON_NAME):
        names = [value.decode(errors="replace") for value in context.get(key, ())]
        if names:
            return names
    return []


class Door(Protocol):
    """What every call passes before anything of its request is read."""

    def identify(self, call: Call, context: Context) -> Call:
        """Return the call with whoever it is proved to be from. Raises UnauthenticatedError."""

    def admit(self, call: Call, context: Context) -> AbstractContextManager[Call]:
        """Run a call that is identified within the block, which gets it with its user.

        Raises when it may not run.
        """

    def is_open_to(self, call: Call, context: Context) -> bool:
        """Return whether calls like this one are let in when there is room; takes nothing."""


class OpenDoor:
    """Everybody comes in, under whatever name it gives."""

    def identify(self, call: Call, context: Context) -> Call:  # noqa: ARG002 - a Door's
        """Return the call as it is: nobody has to prove anything."""
        return call

    def admit(self, call: Call, context: Context) -> AbstractContextManager[Call]:
        user = read_caller(context.invocation_metadata() or ())
        return nullcontext(call if user == ANONYMOUS else replace(call, identity=Identity(user)))

    def is_open_to(self, call: Call, context: Context) -> bool:  # noqa: ARG002 - a Door's
        return True


class GuardedDoor:
    """Principals come in, for what they may do and as often as they may."""

    def __init__(self, register: LiveRegister, limits: Limits, observer: AuthObserver) -> None:
        self._register = register
        self._limits = limits
        self._observer = observer

    def identify(self, call: Call, context: Context) -> Call:
        return replace(call, identity=Identity(principal=self._identify(context)))

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[Call]:
        principal = call.identity.principal
        if principal is None:
            raise UnauthenticatedError
        check_permission(principal, call.method)
        user = read_caller(context.invocation_metadata() or ())
        with self._limits.use(principal):
            yield replace(call, identity=Identity(user, principal))

    def is_open_to(self, call: Call, context: Context) -> bool:
        found = self._find(context)
        return isinstance(found, Principal) and is_permitted(found, call.method)

    def _identify(self, context: Context) -> Principal:
        """Return the principal who calls. Raises UnauthenticatedError."""
        found = self._find(context)
        if isinstance(found, Failure):
            self._observer.on_unauthenticated(found)
            raise UnauthenticatedError
        return found

    def _find(self, context: Context) -> Principal | Failure:
        """Find the principal by its token, or else its certificate, or else as anonymous."""
        authorizations = read_authorizations(context.invocation_metadata() or ())
        if not authorizations:
            return self._find_by_certificate(context)
        token = parse_bearer(authorizations[0]) if len(authorizations) == 1 else None
        if token is None:
            return Failure.MALFORMED
        return self._register.current.find_by_token(token) or Failure.UNKNOWN_TOKEN

    def _find_by_certificate(self, context: Context) -> Principal | Failure:
        names = read_certificate_names(context.auth_context())
        if not names:
            return self._register.current.anonymous or Failure.MISSING
        return self._register.current.find_by_certificate(names) or Failure.UNKNOWN_CERTIFICATE

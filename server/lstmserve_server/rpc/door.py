"""Lets calls in, or not: who calls, whether it may, and whether it has not had enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import grpc

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.auth.observer import AuthObserver, Failure
from lstmserve_server.auth.principal import Principal
from lstmserve_server.errors import UnauthenticatedError
from lstmserve_server.rpc.call import Call, read_caller
from lstmserve_server.rpc.credentials import (
    parse_bearer,
    read_authorizations,
    read_certificate_names,
)
from lstmserve_server.rpc.identity import Identity
from lstmserve_server.rpc.permissions import check_permission, is_permitted

Context = grpc.aio.ServicerContext[Any, Any]


class Door(Protocol):
    """What every call passes before anything of its request is read."""

    def admit(self, call: Call, context: Context) -> AbstractContextManager[None]:
        """Run a call within the block, with its identity set; raises when it may not."""

    def is_open_to(self, call: Call, context: Context) -> bool:
        """Whether calls like this one are let in when there is room; takes and tells nothing."""


class OpenDoor:
    """Everybody comes in, under whatever name it gives."""

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[None]:
        call.identity = Identity(read_caller(context.invocation_metadata() or ()))
        yield

    def is_open_to(self, call: Call, context: Context) -> bool:  # noqa: ARG002 - a Door's
        return True


class GuardedDoor:
    """Principals come in, for what they may do and as often as they may."""

    def __init__(self, register: LiveRegister, limits: Limits, observer: AuthObserver) -> None:
        self._register = register
        self._limits = limits
        self._observer = observer

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[None]:
        principal = self._identify(context)
        call.identity = Identity(principal=principal)  # also of a call that gets no further
        check_permission(principal, call.method)
        user = read_caller(context.invocation_metadata() or ())
        call.identity = Identity(user, principal)
        with self._limits.use(principal):
            yield

    def is_open_to(self, call: Call, context: Context) -> bool:
        found = self._find(context)
        return isinstance(found, Principal) and is_permitted(found, call.method)

    def _identify(self, context: Context) -> Principal:
        """Raises UnauthenticatedError."""
        found = self._find(context)
        if isinstance(found, Failure):
            self._observer.on_unauthenticated(found)
            raise UnauthenticatedError
        return found

    def _find(self, context: Context) -> Principal | Failure:
        """By its token; by its certificate if it sends none; else whoever all others are."""
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

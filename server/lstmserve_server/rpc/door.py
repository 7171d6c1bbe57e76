"""Lets calls in, or not: who calls, whether it may, and whether it has not had enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn, Protocol

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
from lstmserve_server.rpc.permissions import check_permission

Context = grpc.aio.ServicerContext[Any, Any]


class Door(Protocol):
    """What every call passes before anything of its request is read."""

    def admit(self, call: Call, context: Context) -> AbstractContextManager[None]:
        """Run a call within the block, with its identity set; raises when it may not."""


class OpenDoor:
    """Everybody comes in, under whatever name it gives."""

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[None]:
        call.identity = Identity(read_caller(context.invocation_metadata() or ()))
        yield


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
        check_permission(principal, f"{call.service}/{call.rpc}")
        user = read_caller(context.invocation_metadata() or ())
        call.identity = Identity(user, principal)
        with self._limits.use(principal):
            yield

    def _identify(self, context: Context) -> Principal:
        """By its token, or by its certificate if it sends none. Raises UnauthenticatedError."""
        authorizations = read_authorizations(context.invocation_metadata() or ())
        if not authorizations:
            return self._identify_by_certificate(context)
        token = parse_bearer(authorizations[0]) if len(authorizations) == 1 else None
        if token is None:
            self._refuse(Failure.MALFORMED)
        principal = self._register.current.find_by_token(token)
        return principal or self._refuse(Failure.UNKNOWN_TOKEN)

    def _identify_by_certificate(self, context: Context) -> Principal:
        names = read_certificate_names(context.auth_context())
        if not names:
            self._refuse(Failure.MISSING)
        principal = self._register.current.find_by_certificate(names)
        return principal or self._refuse(Failure.UNKNOWN_CERTIFICATE)

    def _refuse(self, failure: Failure) -> NoReturn:
        self._observer.on_unauthenticated(failure)
        raise UnauthenticatedError

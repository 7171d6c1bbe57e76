"""The gRPC server: services, health, reflection, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from lstmserve.open_inference import inference_service_pb2, inference_service_pb2_grpc
from lstmserve.v1 import (
    cache_service_pb2,
    cache_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    operations_service_pb2,
    operations_service_pb2_grpc,
)
from lstmserve_server.config import Address, DrainConfig
from lstmserve_server.errors import DrainingError, StartupError
from lstmserve_server.gate import Gate
from lstmserve_server.rpc.cache import CacheServicer
from lstmserve_server.rpc.call import CallEndObserver, CallObserver
from lstmserve_server.rpc.channel_options import Options
from lstmserve_server.rpc.classifying import Classifying
from lstmserve_server.rpc.door import Door, OpenDoor
from lstmserve_server.rpc.foreign import ForeignInterceptor
from lstmserve_server.rpc.generation import Exchanges, GenerationServicer
from lstmserve_server.rpc.health import HealthServicer
from lstmserve_server.rpc.interceptor import CallInterceptor, is_own
from lstmserve_server.rpc.models import ModelServicer
from lstmserve_server.rpc.open_inference.servicer import OpenInferenceServicer
from lstmserve_server.rpc.operations import OperationsServicer
from lstmserve_server.rpc.repeats import METHOD, Repeats
from lstmserve_server.rpc.service import Service

SERVICES = (
    cache_service_pb2.DESCRIPTOR.services_by_name["CacheService"].full_name,
    generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    operations_service_pb2.DESCRIPTOR.services_by_name["OperationsService"].full_name,
    inference_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)
# for the RPCs that are cut off to send their last words
STOP_SECONDS = 0.2
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Methods(grpc.GenericRpcHandler):
    """The methods of a server by their names; generated code registers them as with a server.

    grpc itself waits for a call of each method that is registered with it, and begins and ends
    all of these waits with every call (docs/log.md).
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add the methods of a service."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Do nothing: generated code registers the same methods one by one."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the method that is called, if there is one."""
        return self._handlers.get(handler_call_details.method)


class RpcServer:
    """Serves a catalog until it is drained."""

    def __init__(
        self,
        service: Service,
        observer: CallObserver,
        *,
        end_observers: Sequence[CallEndObserver] = (),
        door: Door | None = None,
        options: Options,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Tell ``end_observers``, in order, then ``observer`` of the end of a call.

        Without a ``door`` everybody may call everything; without ``credentials`` the port is in
        clear.
        """
        self._credentials = credentials
        self._gate = Gate(lambda: DrainingError("this server is shutting down; ask another one"))
        repeats = Repeats(service, observer)
        self._server = grpc.aio.server(
            interceptors=_make_interceptors(self._gate, door, (*end_observers, observer), repeats),
            options=options,
        )
        self._health = HealthServicer(("", *SERVICES))
        methods = Methods()
        exchanges = Exchanges(service, observer)
        generation = GenerationServicer(exchanges, Classifying(service, observer), repeats)
        _add_services(methods, service, generation, exchanges, self._health)
        self._server.add_generic_rpc_handlers((methods,))

    async def start(self, listen: Address, private: str | None = None) -> Address:
        """Listen and turn SERVING; return the address in use. Raises StartupError.

        ``private`` is a further target, in clear, that this process alone can reach.
        """
        try:
            port = self._open_port(str(listen))
            if private is not None:
                self._server.add_insecure_port(private)
        except RuntimeError:
            raise StartupError(
                f"--listen: cannot listen on {listen}: the port is in use, or the address is "
                "not one of this machine"
            ) from None
        await self._server.start()
        self._health.switch(is_serving=True)
        return Address(listen.host, port)

    async def drain(self, config: DrainConfig) -> None:
        """Turn NOT_SERVING, then refuse new calls, let what runs finish, and close the port."""
        self._health.switch(is_serving=False)
        # health watchers and load balancers look elsewhere meanwhile; whoever has not heard yet
        # is served
        await asyncio.sleep(config.notice_seconds)
        self._gate.close()
        await self._gate.wait_until_empty(max(0, config.grace_seconds - config.notice_seconds))
        await self._close()

    async def fail(self) -> None:
        """Stop at once, because nothing can be answered any more."""
        self._gate.close()
        self._health.switch(is_serving=False)
        await self._close()

    def _open_port(self, address: str) -> int:
        if self._credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._credentials)

    async def _close(self) -> None:
        await self._server.stop(STOP_SECONDS)
        # the tasks of RPCs that were cut off end in the loop's next turns; those still there
        # when the loop closes would print tracebacks
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=STOP_SECONDS)


def _make_interceptors(
    gate: Gate, door: Door | None, observers: Sequence[CallEndObserver], repeats: Repeats
) -> list[grpc.aio.ServerInterceptor]:
    opened = door or OpenDoor()
    return [
        CallInterceptor(gate, opened, observers, {METHOD: repeats.answer}),
        ForeignInterceptor(opened, is_own),
    ]


def _add_services(
    methods: Methods,
    service: Service,
    generation: GenerationServicer,
    exchanges: Exchanges,
    health_servicer: HealthServicer,
) -> None:
    server = cast("grpc.aio.Server", methods)  # all that generated code needs of one
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
    inference_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
        OpenInferenceServicer(service.catalog, exchanges, health_servicer), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(service), server)
    cache_service_pb2_grpc.add_CacheServiceServicer_to_server(CacheServicer(service), server)
    operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(
        OperationsServicer(service.log_level, service.on_log_level), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(  # type: ignore[no-untyped-call]
        reflection.aio.ReflectionServicer(names), server
    )

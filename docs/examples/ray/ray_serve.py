"""lstmserve on Ray Serve: each replica owns a server, and Ray's gRPC proxy stands before them all.

On one machine, with an instance of Ray of its own:

    python ray_serve.py --server-arguments "--model-store /srv/model_store" --max-replicas 4

On a cluster that runs, with this file where its workers import from (docs/deploying.md):

    serve run ray_serve:build server_arguments="--model-store /srv/model_store" max_replicas=4

Ray's environment needs ``ray[serve]`` and the client's package, no torch: the server is a program,
and may have an environment of its own.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from typing import Any

import grpc
import grpc.aio
import ray
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import BaseModel, PositiveFloat, PositiveInt
from ray import serve
from ray.serve.config import AutoscalingConfig, HTTPOptions, gRPCOptions
from ray.serve.grpc_util import RayServegRPCContext

from lstmserve.v1 import generation_service_pb2 as generation_pb
from lstmserve.v1 import model_service_pb2 as models_pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub

# What Ray's proxy serves. Health is not among it: a watch of it would be a request without an end,
# which would keep a replica from draining. Ray has RayServeAPIService/Healthz.
SERVICES = [
    f"lstmserve.v1.{file}_pb2_grpc.add_{name}Servicer_to_server"
    for file, name in (
        ("generation_service", "GenerationService"),
        ("model_service", "ModelService"),
    )
]
READY = re.compile(r"lstmserve is ready: .*? on ([^\s,]+)")
HEALTH_SECONDS = 10.0
# what a server reads of a call's metadata
OWN_KEYS = frozenset({"authorization", "traceparent", "tracestate", "x-caller-id", "x-request-id"})
# of a server with its defaults (--max-running, --max-waiting)
ROWS, WAITING = 64, 1024


class Options(BaseModel):
    """What ``serve run`` and the command line may set."""

    server_arguments: str = ""  # as a shell has them
    server_program: str = "lstmserve-server"
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    # at 32 streams an engine makes 86 % of the tokens/s that it makes at 64, and the first token
    # takes 43 ms instead of 66 (benchmarks/results/serve.json): beyond it callers gain by a replica
    target_ongoing_requests: PositiveFloat = ROWS / 2
    # one for the engine, one for what passes its replies on
    cpus_per_replica: PositiveFloat = 2


class ServerProgram:
    """A server on a free port of this machine. It ends with this process, and this one with it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Wait until it is ready. Raises RuntimeError if it ends before."""
        self._is_told_to_end = False
        self._target: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(command,), daemon=True)
        self._thread.start()
        self.target = self._target.result()

    def stop(self) -> None:
        """Let it end what it does, and wait for that."""
        self._is_told_to_end = True
        self._process.terminate()
        self._thread.join()

    def _run(self, command: Sequence[str]) -> None:
        # the kernel kills it when the thread ends that started it: this one, which waits for it
        dying = ("setpriv", "--pdeathsig", "KILL", "--")
        with subprocess.Popen([*dying, *command], stdout=subprocess.PIPE, text=True) as started:  # noqa: S603 - the operator's
            self._process = started
            for line in started.stdout or ():
                print(line, end="", flush=True)
                ready = READY.match(line)
                if ready and not self._target.done():
                    self._target.set_result(ready[1])
        if not self._target.done():
            code = started.returncode
            self._target.set_exception(
                RuntimeError(f"{command[0]} ended with {code}: Ray's log of this replica says why")
            )
        elif not self._is_told_to_end:
            os._exit(1)  # Ray sends nothing more to a process that is gone, and starts another


@serve.deployment(
    # the server has a queue, which knows callers and priorities, and refuses what it cannot hold
    max_ongoing_requests=ROWS + WAITING,
    health_check_period_s=2,
    health_check_timeout_s=HEALTH_SECONDS,
    graceful_shutdown_timeout_s=30,
)
class Replica:
    """Passes calls on to its server, and replies, errors and cancellations back."""

    def __init__(self, command: Sequence[str]) -> None:
        self._server = ServerProgram(command)
        not_by_proxy = [("grpc.enable_http_proxy", 0)]  # the environment may name one
        channel = grpc.aio.insecure_channel(self._server.target, not_by_proxy)
        self._generation = GenerationServiceStub(channel)
        self._models = ModelServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    async def check_health(self) -> None:
        """Raise unless the server says that it serves; after three times Ray replaces it."""
        request = health_pb2.HealthCheckRequest()
        answer = await self._health.Check(request, timeout=HEALTH_SECONDS)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise RuntimeError("the server does not serve")

    def __del__(self) -> None:
        """End the server; Ray calls this once no request is left, or the time for that is over."""
        if hasattr(self, "_server"):
            self._server.stop()

    async def Generate(  # noqa: N802 - the wire names it
        self, request: generation_pb.GenerateRequest, grpc_context: RayServegRPCContext
    ) -> AsyncIterator[generation_pb.GenerateResponse]:
        call = self._generation.Generate(request, metadata=read_own(grpc_context))
        try:
            async for event in call:
                yield event
        except grpc.aio.AioRpcError as error:
            pass_on(error, grpc_context)
            # Ray takes details from what is yielded only; an event of no kind is none to clients
            yield generation_pb.GenerateResponse()
        finally:
            call.cancel()  # where the caller has left; of a call that has ended it does nothing

    async def GenerateReply(  # noqa: N802
        self, request: generation_pb.GenerateReplyRequest, grpc_context: RayServegRPCContext
    ) -> Message:
        return await ask(self._generation.GenerateReply, request, grpc_context)

    async def Classify(  # noqa: N802
        self, request: generation_pb.ClassifyRequest, grpc_context: RayServegRPCContext
    ) -> Message:
        return await ask(self._generation.Classify, request, grpc_context)

    async def ListModels(  # noqa: N802
        self, request: models_pb.ListModelsRequest, grpc_context: RayServegRPCContext
    ) -> Message:
        return await ask(self._models.ListModels, request, grpc_context)

    async def GetModel(  # noqa: N802
        self, request: models_pb.GetModelRequest, grpc_context: RayServegRPCContext
    ) -> Message:
        return await ask(self._models.GetModel, request, grpc_context)

    async def LoadModel(  # noqa: N802
        self, request: Message, grpc_context: RayServegRPCContext
    ) -> Message:
        """Refuse: it would reach one of the replicas, and nobody knows which."""
        grpc_context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        grpc_context.set_details("administration is for one server at a time: change the store")
        return type(request)()

    UnloadModel = SetDefaultModel = SetTrafficSplit = VerifyModel = LoadModel


async def ask(method: Any, request: Message, grpc_context: RayServegRPCContext) -> Message:  # noqa: ANN401 - a stub's
    """Return the response, or an empty message where the context has the error."""
    try:
        response: Message = await method(request, metadata=read_own(grpc_context))
    except grpc.aio.AioRpcError as error:
        pass_on(error, grpc_context)
        return type(request)()
    return response


def read_own(grpc_context: RayServegRPCContext) -> tuple[tuple[str, str], ...]:
    """Return what the caller says to the server and not to Ray."""
    return tuple(each for each in grpc_context.invocation_metadata() if each[0] in OWN_KEYS)


def pass_on(error: grpc.aio.AioRpcError, grpc_context: RayServegRPCContext) -> None:
    """End the call as the server ended it. What is raised would lose the details of the status."""
    grpc_context.set_code(error.code())
    grpc_context.set_details(error.details() or "")
    grpc_context.set_trailing_metadata([*(error.trailing_metadata() or ())])


def build(options: Options) -> serve.Application:
    """Return the application; raises ValueError for limits that contradict each other."""
    own = ("--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--drain-notice-seconds=0")
    command = [options.server_program, *own, *shlex.split(options.server_arguments)]
    deployed = Replica.options(
        ray_actor_options={"num_cpus": options.cpus_per_replica},
        autoscaling_config=AutoscalingConfig(
            min_replicas=options.min_replicas,
            max_replicas=options.max_replicas,
            target_ongoing_requests=options.target_ongoing_requests,
            # a replica is there within seconds: Ray's 30 are for models that take minutes
            look_back_period_s=10,
            upscale_delay_s=10,
        ),
    )
    return deployed.bind(command)


def main() -> None:
    """Serve with an instance of Ray that lives as long as this program, until told to end."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--grpc-port", type=int, default=9000)
    parser.add_argument("--http-port", type=int, default=8000, help="Ray's own, which serves none")
    parser.add_argument("--ray-cpus", type=int, help="those that replicas may use; default: all")
    for name, field in Options.model_fields.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=field.default)
    given = vars(parser.parse_args())
    options = Options(**{name: given[name] for name in Options.model_fields})
    told_to_end = threading.Event()
    ray.init(num_cpus=given["ray_cpus"], include_dashboard=False, log_to_driver=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_end.set())
    try:
        serve.start(
            http_options=HTTPOptions(port=given["http_port"]),
            grpc_options=gRPCOptions(port=given["grpc_port"], grpc_servicer_functions=SERVICES),
        )
        serve.run(build(options))
        print(f"ready 127.0.0.1:{given['grpc_port']}", flush=True)
        told_to_end.wait()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()

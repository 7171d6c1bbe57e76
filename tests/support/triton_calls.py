"""Calls made by tritonclient, a client of the protocol that is not ours.

It registers the protocol's names with protobuf as our stubs do, so it runs as a program of its
own: ``python triton_calls.py TARGET VERB`` reads what to ask from standard input, as JSON, and
writes what came of it to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from descriptions import describe_message
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

Question = dict[str, Any]
Answer = dict[str, Any]

# read ahead so little that a stream which nobody reads stays open
NARROW = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
DTYPES = {"BYTES": object, "BOOL": bool, "FP32": np.float32, "INT32": np.int32}

WAIT_SECONDS = 60


def to_arguments(question: Question) -> dict[str, Any]:
    """The arguments of an infer call."""
    inputs = []
    for name, (datatype, values) in question["inputs"].items():
        array = np.array(values, dtype=DTYPES[datatype])
        inputs.append(triton.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array)
    outputs = [triton.InferRequestedOutput(name) for name in question.get("outputs", ())]
    return {
        "model_name": question.get("model", ""),
        "model_version": question.get("version", ""),
        "inputs": inputs,
        "outputs": outputs or None,
        **{name: question[name] for name in OPTIONS if name in question},
    }


OPTIONS = ("parameters", "request_id", "priority", "timeout")


def to_answer(result: Any, error: InferenceServerException | None) -> Answer:  # noqa: ANN401
    if error is not None:
        return {"error": error.message(), "status": error.status()}
    response = result.get_response()
    return {
        "id": response.id,
        "model": response.model_name,
        "version": response.model_version,
        "parameters": {
            name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in response.parameters.items()
        },
        "outputs": {output.name: to_list(result, output.name) for output in response.outputs},
    }


def to_list(result: Any, name: str) -> list[Any]:  # noqa: ANN401
    values = result.as_numpy(name).tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def infer(target: str, questions: list[Question], options: dict[str, Any]) -> list[Answer]:
    with triton.InferenceServerClient(target) as client:
        return [_infer_one(client, question, options) for question in questions]


def _infer_one(
    client: triton.InferenceServerClient, question: Question, options: dict[str, Any]
) -> Answer:
    try:
        return to_answer(client.infer(**to_arguments(question), **options), None)
    except InferenceServerException as error:
        return to_answer(None, error)


def stream(target: str, questions: list[Question], options: dict[str, Any]) -> list[Answer]:
    answers: list[Answer] = []
    with triton.InferenceServerClient(target) as client:
        client.start_stream(
            lambda result, error: answers.append(to_answer(result, error)), **options
        )
        for question in questions:
            is_final_alone = question.get("enable_empty_final_response", False)
            try:
                client.async_stream_infer(
                    **to_arguments(question), enable_empty_final_response=is_final_alone
                )
            except InferenceServerException:  # the stream has ended, and its answer says why
                break
        client.stop_stream()  # once all is answered
    return answers


def cancel(target: str, questions: list[Question], options: dict[str, Any]) -> list[Answer]:
    """Cancels the stream in the middle of its first response, with all others still to come."""
    answers: list[Answer] = []
    arrived, cancelled = threading.Event(), threading.Event()

    def note(result: Any, error: InferenceServerException | None) -> None:  # noqa: ANN401
        answers.append(to_answer(result, error))
        arrived.set()
        assert cancelled.wait(WAIT_SECONDS), "the stream is cancelled"

    with triton.InferenceServerClient(target, channel_args=NARROW) as client:
        client.start_stream(note, **options)
        for question in questions:
            client.async_stream_infer(**to_arguments(question))
        assert arrived.wait(WAIT_SECONDS), "a response arrives"
        client._stream._response_iterator.cancel()
        cancelled.set()
        client.stop_stream()
    return answers


async def _infer_aio(
    target: str, questions: list[Question], options: dict[str, Any]
) -> list[Answer]:
    async def one(question: Question) -> Answer:
        try:
            return to_answer(await client.infer(**to_arguments(question), **options), None)
        except InferenceServerException as error:
            return to_answer(None, error)

    async with triton_aio.InferenceServerClient(target) as client:
        return list(await asyncio.gather(*map(one, questions)))


async def _streams_aio(
    target: str, questions: list[Question], options: dict[str, Any]
) -> list[Answer]:
    """Several streams at once, on one connection."""

    async def one(mine: list[Question]) -> list[Answer]:
        async def ask() -> AsyncIterator[dict[str, Any]]:
            for question in mine:
                yield to_arguments(question)

        return [to_answer(*item) async for item in client.stream_infer(ask(), **options)]

    num_streams = 4
    async with triton_aio.InferenceServerClient(target) as client:
        found = await asyncio.gather(*(one(questions[n::num_streams]) for n in range(num_streams)))
    return [answer for answers in found for answer in answers]


def health(target: str, questions: list[Question], options: dict[str, Any]) -> list[Answer]:
    with triton.InferenceServerClient(target) as client:
        metadata = client.get_server_metadata(as_json=True)
        return [
            {
                "live": client.is_server_live(),
                "ready": client.is_server_ready(),
                "models": [client.is_model_ready(**question) for question in questions],
                "server": metadata,
                "model": client.get_model_metadata("", as_json=True),
            }
        ]


def describe(_: str, questions: list[Question], options: dict[str, Any]) -> list[Answer]:
    """The protocol, as the client knows it, and every field of the messages asked for."""
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods = {
        method.name: [
            method.input_type.full_name,
            method.output_type.full_name,
            method.client_streaming,
            method.server_streaming,
        ]
        for method in service.methods
    }
    pool = service_pb2.DESCRIPTOR.pool
    messages = {
        question["name"]: describe_message(pool.FindMessageTypeByName(question["name"]))
        for question in questions
    }
    return [{"service": service.full_name, "methods": methods, "messages": messages}]


VERBS: dict[str, Callable[[str, list[Question], dict[str, Any]], list[Answer]]] = {
    "infer": infer,
    "stream": stream,
    "cancel": cancel,
    "health": health,
    "describe": describe,
    "infer_aio": lambda *arguments: asyncio.run(_infer_aio(*arguments)),
    "streams_aio": lambda *arguments: asyncio.run(_streams_aio(*arguments)),
}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(VERBS[sys.argv[2]](sys.argv[1], asked["questions"], asked["options"]), sys.stdout)

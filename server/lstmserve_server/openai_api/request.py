"""What a request asks for, as requests of our own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.counts import COUNTS, to_wire
from lstmserve_server.openai_api.errors import ApiError, to_api_error
from lstmserve_server.openai_api.fields import PLACES
from lstmserve_server.rpc.open_inference.parameters import CONSTRAINTS, PARAMETERS
from lstmserve_server.rpc.validation import Request


@dataclass(slots=True)
class Asked:
    """One request, every field of which has been read."""

    is_chat: bool
    model: str = ""
    version: str = ""
    user: str = ""
    prompts: list[str] = field(default_factory=list)
    conversation: pb.Conversation | None = None
    parameters: dict[str, Any] = field(default_factory=dict)  # by their names in PARAMETERS
    num_choices: int | None = None  # for each prompt
    best_of: int | None = None
    is_streamed: bool = False
    tells_usage: bool = False  # at the end of a stream
    places: dict[str, str] = field(default_factory=lambda: dict(PLACES))

    @property
    def is_constrained(self) -> bool:
        """Whether each reply keeps a form."""
        return any(name in self.parameters for name in CONSTRAINTS)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers that were sent, by our fields."""
        found = {PARAMETERS[name].field: self.parameters.get(name) for name in COUNTS}
        found |= {"num_replies": self.num_choices, "best_of": self.best_of}
        return {field: count for field, count in found.items() if count is not None}

    def explain(self, error: grpc.RpcError, number: int | None = None) -> ApiError:
        """Return what the request has failed with, in words of who sent it; ``number`` is that of
        a prompt out of several.
        """
        prompt = {} if number is None else {"prompt": f"prompt[{number}]"}
        return to_api_error(error, {**self.places, **prompt}, self.counts)

    def to_stream(self) -> pb.GenerateRequest:
        """Return the request of a stream, which has one prompt."""
        request = pb.GenerateRequest()
        self._write(request, 0)
        return request

    def to_whole(self) -> list[pb.GenerateReplyRequest]:
        """Return a request for each prompt, or for the conversation."""
        return [self._write_whole(number) for number in range(len(self.prompts) or 1)]

    def _write_whole(self, number: int) -> pb.GenerateReplyRequest:
        best_of, num_choices = (
            None if count is None else to_wire(count) for count in (self.best_of, self.num_choices)
        )
        request = pb.GenerateReplyRequest(best_of=best_of, num_replies=num_choices)
        self._write(request, number)
        return request

    def _write(self, request: Request, number: int) -> None:
        request.model, request.model_version = self.model, self.version
        if self.conversation is None:
            request.prompt = self.prompts[number]
        else:
            request.conversation.CopyFrom(self.conversation)
        for name, value in self.parameters.items():
            PARAMETERS[name].set(request, to_wire(value) if name in COUNTS else value)

"""Reads the JSON of a request, and tells at once of everything in it that is not served."""

from __future__ import annotations

from typing import Any

from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.openai_api.errors import refuse_fields
from lstmserve_server.openai_api.fields import (
    CHAT_READERS,
    COMPLETION_READERS,
    MAX_NAME,
    MAX_PROMPTS,
    NOT_SERVED,
    without_nulls,
)
from lstmserve_server.openai_api.formats import PLACE as RESPONSE_FORMAT
from lstmserve_server.openai_api.formats import read_format, read_stream_options
from lstmserve_server.openai_api.messages import read_messages
from lstmserve_server.openai_api.models import split_id
from lstmserve_server.openai_api.request import Asked
from lstmserve_server.openai_api.users import read_user
from lstmserve_server.rpc.open_inference.parameters import CONSTRAINTS, PARAMETERS
from lstmserve_server.rpc.validation import FieldChecks

TOKENS, NEW_TOKENS = "max_tokens", "max_completion_tokens"
JSON_SCHEMA = "json_schema"


def read_request(document: dict[str, Any], *, is_chat: bool) -> Asked:
    """Return what is asked for. Raises ApiError naming every field that is wrong."""
    reader = _Reader(document, is_chat=is_chat)
    try:
        return reader.read()
    except InvalidRequestError as error:
        raise refuse_fields(error.violations) from None


class _Reader:
    def __init__(self, document: dict[str, Any], *, is_chat: bool) -> None:
        self._given: dict[str, Any] = without_nulls(document)
        self._checks = FieldChecks()
        self._asked = Asked(is_chat)
        self._readers = CHAT_READERS if is_chat else COMPLETION_READERS
        self._values: dict[str, Any] = {}

    def read(self) -> Asked:
        self._refuse_unknown()
        for name, value in self._given.items():
            if name in self._readers:
                self._read_value(name, value)
        self._read_input()
        self._read_model()
        self._read_parameters()
        self._read_form()
        self._read_stream()
        self._checks.finish()
        return self._asked

    def _refuse_unknown(self) -> None:
        own = {"messages" if self._asked.is_chat else "prompt", "stream_options", RESPONSE_FORMAT}
        for name, value in self._given.items():
            if name in NOT_SERVED:
                if value not in NOT_SERVED[name]:
                    self._checks.refuse(name, "is not served; leave it out")
            elif name not in self._readers and name not in own:
                self._checks.refuse(name[:MAX_NAME], "is not known here; leave it out")

    def _read_value(self, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON
        try:
            self._values[name] = self._readers[name](value)
        except ValueError as error:
            self._checks.refuse(name, str(error))
        except RecursionError:  # to show what was sent takes more frames than reading it did
            self._checks.refuse(name, "nests too deep")

    def _read_input(self) -> None:
        if self._asked.is_chat:
            messages = self._given.get("messages")
            self._asked.conversation = read_messages(self._checks, messages, self._asked.places)
            return
        prompt = self._given.get("prompt")
        given = prompt if isinstance(prompt, list) else [prompt]
        texts = [each for each in given if isinstance(each, str)]
        if len(texts) < len(given) or not 1 <= len(texts) <= MAX_PROMPTS:
            self._checks.refuse(
                "prompt", f"must be a text, or a list of 1 to {MAX_PROMPTS} texts; not token ids"
            )
        self._asked.prompts = texts

    def _read_model(self) -> None:
        self._asked.model, self._asked.version = split_id(self._values.get("model", ""))
        self._asked.user = read_user(self._checks, self._values)
        self._asked.num_choices = self._values.get("n")
        self._asked.best_of = self._values.get("best_of")

    def _read_parameters(self) -> None:
        given = self._asked.parameters
        given |= {name: value for name, value in self._values.items() if name in PARAMETERS}
        if NEW_TOKENS in self._values:
            tokens = self._values[NEW_TOKENS]
            if given.setdefault(TOKENS, tokens) != tokens:
                self._checks.refuse(NEW_TOKENS, f"must be the same as {TOKENS}; send one of them")
            self._asked.places[PARAMETERS[TOKENS].field] = NEW_TOKENS
        if self._asked.is_chat:
            self._read_chat_logprobs()

    def _read_chat_logprobs(self) -> None:
        is_wanted = self._asked.parameters.pop("logprobs", False)
        num_top = self._values.get("top_logprobs")
        if num_top and not is_wanted:
            self._checks.refuse("top_logprobs", "needs logprobs, which must be true")
        if is_wanted:
            self._asked.parameters["logprobs"] = num_top or 0
        self._asked.places[PARAMETERS["logprobs"].field] = "top_logprobs"

    def _read_form(self) -> None:
        given = self._asked.parameters
        if RESPONSE_FORMAT in self._given:
            schema = read_format(self._checks, self._given[RESPONSE_FORMAT])
            if schema is not None and JSON_SCHEMA in given:
                self._checks.refuse(RESPONSE_FORMAT, f"cannot go with {JSON_SCHEMA}")
            elif schema is not None:
                given[JSON_SCHEMA] = schema
                self._asked.places[PARAMETERS[JSON_SCHEMA].field] = RESPONSE_FORMAT
        forms = [name for name in CONSTRAINTS if name in given]
        for name in forms[1:]:
            self._checks.refuse(
                self._asked.places[PARAMETERS[name].field],
                f"cannot go with {forms[0]}: a reply keeps one form",
            )

    def _read_stream(self) -> None:
        self._asked.is_streamed = self._values.get("stream", False)
        options = self._given.get("stream_options")
        if options is not None:
            self._asked.tells_usage = read_stream_options(self._checks, options)
        if not self._asked.is_streamed:
            if self._asked.tells_usage:
                self._checks.refuse("stream_options", "needs stream, which must be true")
            return
        for name in ("n", "best_of"):
            if self._values.get(name, 1) != 1:
                self._checks.refuse(name, "must be 1 in a stream; send a request for each")
        if len(self._asked.prompts) > 1:
            self._checks.refuse("prompt", "must be one text in a stream; send a request for each")

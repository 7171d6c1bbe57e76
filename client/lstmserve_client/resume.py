"""One streamed reply over as many connections as it takes. No I/O.

A reply is a pure function of model version, prompt, parameters and seed, and its token n
depends on the tokens before it alone. So any server that has the version can go on where
another was cut off, and nobody can tell.
"""

from dataclasses import replace

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client.errors import (
    BrokenReplyError,
    LstmserveError,
    ModelNotFoundError,
    UnavailableError,
    VersionGoneError,
)
from lstmserve_client.stream import EventOrder
from lstmserve_client.types import Chunk, Classification, Completion, Event, Started


class ResumableReply:
    """Remembers what arrived, asks for the rest, and passes every event on once."""

    def __init__(self, request: pb.GenerateRequest) -> None:
        self._request = request
        self._order = EventOrder()
        self._started: Started | None = None
        self._token_ids: list[int] = []
        self._latest = Chunk("", (), ())  # that was passed on
        self._overlap = self._latest  # what will come a second time
        self._is_classified = False
        self.has_progressed = False  # in the attempt that runs

    @property
    def is_complete(self) -> bool:
        """Whether the completion has come."""
        return self._order.is_complete

    @property
    def is_final(self) -> bool:
        """Whether nothing can go on from what was passed on: another time it may differ."""
        has_text = bool(self._token_ids or self._latest.text)
        return has_text and self._started is not None and self._started.is_inexact

    def begin(self) -> pb.GenerateRequest:
        """What to ask for in the next attempt."""
        self._order = EventOrder()
        self._overlap = self._latest
        self.has_progressed = False
        return self._request if self._started is None else self._rest(self._started)

    def accept(self, message: pb.GenerateResponse) -> Event | None:
        """The event to pass on, if there is one; raises BrokenReplyError or VersionGoneError."""
        event = self._order.accept(message)
        match event:
            case Started():
                return self._start(event)
            case Classification():
                return self._classify(event)
            case Chunk():
                return self._continue(event)
            case Completion():
                return self._complete(event)
        return None  # of a kind that only newer clients know

    def end(self) -> None:
        """The stream ended with OK; raises BrokenReplyError if it has no completion."""
        self._order.end()

    def survives(self, error: LstmserveError) -> bool:
        """Whether the reply is whole although its connection broke, just before its end."""
        return self.is_complete and isinstance(error, UnavailableError)

    def describe(self, error: LstmserveError) -> LstmserveError:
        """The error as the caller is to see it: with what had arrived before it."""
        if isinstance(error, ModelNotFoundError) and self._started is not None:
            error = self._gone(self._started, str(error), error.request_id)
        if self.is_final and isinstance(error, UnavailableError):
            error.message += "; what came cannot be gone on with: its version is inexact"
        error.received_tokens = len(self._token_ids)
        return error

    def _rest(self, started: Started) -> pb.GenerateRequest:
        """This reply from before its latest chunk on.

        That chunk comes again, so that there is always something to come: a reply may have been
        cut between its last token and its completion. It also shows that the servers agree.
        """
        rest = pb.GenerateRequest()
        rest.CopyFrom(self._request)
        rest.model, rest.model_version = started.model, started.model_version
        rest.sampling.seed = started.seed
        del rest.resume_tokens[:]
        rest.resume_tokens.extend(self._token_ids[: -len(self._latest.token_ids) or None])
        if rest.cache_mode == pb.CACHE_MODE_ONLY_IF_CACHED:  # it was: this one began
            rest.cache_mode = pb.CACHE_MODE_UNSPECIFIED
        return rest

    def _start(self, started: Started) -> Started | None:
        if self._started is None:
            self._started = started
            return started
        if started.model_digest != self._started.model_digest:
            raise self._gone(self._started, "its number stands for another now", started.request_id)
        return None

    def _classify(self, classification: Classification) -> Classification | None:
        """What another attempt tells again is passed on once: it is the same."""
        is_new, self._is_classified = not self._is_classified, True
        return classification if is_new else None

    def _continue(self, chunk: Chunk) -> Chunk | None:
        again = self._overlap
        if not (again.token_ids or again.text):
            return self._pass_on(chunk)
        count = min(len(chunk.token_ids), len(again.token_ids))
        length = min(len(chunk.text), len(again.text))
        if (
            chunk.token_ids[:count] != again.token_ids[:count]
            or chunk.text[:length] != again.text[:length]
        ):
            raise self._disagreement()
        self._overlap = _without(again, count, length)
        rest = _without(chunk, count, length)
        return self._pass_on(rest) if rest.token_ids or rest.text else None

    def _complete(self, completion: Completion) -> Completion:
        if self._overlap.token_ids or self._overlap.text:
            raise self._disagreement()
        return completion

    def _disagreement(self) -> BrokenReplyError:
        return BrokenReplyError(
            "broken reply: two servers disagree about the same tokens",
            request_id=self._order.request_id,
        )

    def _pass_on(self, chunk: Chunk) -> Chunk:
        self._token_ids.extend(chunk.token_ids)
        text = chunk.text if chunk.token_ids else self._latest.text + chunk.text
        self._latest = replace(chunk if chunk.token_ids else self._latest, text=text)
        self.has_progressed = True
        return chunk

    def _gone(self, started: Started, why: str, request_id: str | None) -> VersionGoneError:
        version = f"{started.model} version {started.model_version}"
        error = VersionGoneError(
            f"the reply was cut after {len(self._token_ids)} tokens, and {version}, which began "
            f"it, is no longer served: {why}",
            resource=version,
            request_id=request_id or started.request_id,
        )
        error.received_tokens = len(self._token_ids)
        return error


def _without(chunk: Chunk, count: int, length: int) -> Chunk:
    """A chunk without its first tokens and characters."""
    return replace(
        chunk,
        text=chunk.text[length:],
        token_ids=chunk.token_ids[count:],
        logprobs=chunk.logprobs[count:],
    )

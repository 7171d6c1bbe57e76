"""How what a client tells of a call comes together."""

import logging
from types import TracebackType
from typing import Any, Self

from lstmserve_client.attempts import Attempts
from lstmserve_client.methods import Method
from lstmserve_client.records import CallRecord
from lstmserve_client.types import Chunk, Completion, Reply, Started

_LOG = logging.getLogger("lstmserve_client")


class Recording:
    """Follows one call, and tells the client's observer of it when it ends."""

    def __init__(self, attempts: Attempts, method: Method[Any, Any]) -> None:
        self._attempts = attempts
        self._method = method
        self._first_chunk_seconds: float | None = None
        self._started: Started | None = None
        self._completion: Completion | None = None
        self._generated_tokens = 0

    def saw(self, result: object) -> None:
        """An event of a stream, or the whole result of a unary call, came."""
        match result:
            case Chunk():
                if self._first_chunk_seconds is None:
                    self._first_chunk_seconds = self._attempts.elapsed_seconds
            case Started():
                self._started = result
            case Completion():
                self._complete(result)
            case Reply():
                self._started = result.started
                for each in (*result.alternatives, result):
                    self._complete(each.completion)

    def _complete(self, completion: Completion) -> None:
        self._completion = completion
        self._generated_tokens += completion.usage.generated_tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        observer = self._attempts.call.config.on_call_end
        if observer is None:
            return
        try:
            observer(self._record(error))
        except Exception:  # noqa: BLE001 - it is told of the call, and has no part in it
            _LOG.exception("on_call_end failed")

    def _record(self, error: BaseException | None) -> CallRecord:
        attempts = self._attempts
        # leaving a stream, cancelling a task and Ctrl-C are no exceptions of this kind
        failure = error if isinstance(error, Exception) else None
        return CallRecord(
            method=self._method.path.rpartition("/")[2],
            request_id=attempts.call.request_id,
            target=attempts.target,
            num_attempts=attempts.num_begun,
            duration_seconds=attempts.elapsed_seconds,
            first_chunk_seconds=self._first_chunk_seconds,
            started=self._started,
            completion=self._completion,
            generated_tokens=self._generated_tokens,
            error=failure,
            was_canceled=error is not failure and self._completion is None,
        )

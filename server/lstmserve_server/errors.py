"""What can go wrong with a request or with the server. Knows no status codes.

LstmserveError
├── InvalidRequestError     a field is missing, out of range, or not served
├── ModelNotFoundError      no such model, or no such version of it
├── ModelLoadError          a version in the store that cannot be served
│   └── ModelTrialError     nobody knows: loading it has crashed or taken too long
│       └── NoProcessError      the system has no process, memory or file for it
├── ModelNeededError        a version that cannot go, or a default that cannot answer
├── NotCachedError          only a cached reply was wanted, and there is none
├── NotServedError          a method that this server does not serve
├── ResumeMismatchError     resume tokens that nothing can follow
├── QueueFullError          more waiting requests than the server keeps
│   ├── QueueTokensFullError    more waiting tokens than the server keeps
│   └── CallerShareError        more waiting requests of one caller than its share
├── FormTooComplexError     a reply whose grammar needs more work than is done for one
├── PoisonedRequestError    a request that has ended the engine's process twice
├── UnauthenticatedError    nobody knows who calls
├── PermissionDeniedError   a caller without the scope that the method needs
├── RateLimitError          more requests a second of one principal than it may make
├── ConcurrencyLimitError   more running calls of one principal than it may have
├── DeadlineError           the caller's deadline passed before the reply was complete
│   └── DeadlineInfeasibleError  it is certain to pass: nothing was generated
├── UnavailableError        this server cannot answer now; another one may
│   ├── CacheUnavailableError   Redis does not answer an administrator
│   ├── DrainingError       it is shutting down
│   ├── ModelLoadingError   the version is about to be served
│   └── EngineDeadError     its engine cannot be kept alive; the process is about to end
└── StartupError            the server cannot start: configuration, store or port
    └── NoThreadError           nor go on as it should: no further thread can be started, for now
"""

from __future__ import annotations

from dataclasses import dataclass


class LstmserveError(Exception):
    """Base of every error that has a meaning for the caller."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: its path on the wire, and what is allowed."""

    field: str
    description: str


class InvalidRequestError(LstmserveError):
    """One or more fields of a request cannot be served."""

    def __init__(self, violations: list[FieldViolation]) -> None:
        super().__init__("; ".join(f"{item.field}: {item.description}" for item in violations))
        self.violations = violations


class ModelNotFoundError(LstmserveError):
    """The store serves no such model or version."""

    def __init__(self, message: str, resource: str) -> None:
        super().__init__(message)
        self.resource = resource


class ModelLoadError(LstmserveError):
    """A version of the store cannot be served; the text is one line and says what is wrong."""


class ModelTrialError(ModelLoadError):
    """Loading ended without a verdict: another time it may do better."""


class NoProcessError(ModelTrialError):
    """The system lets no further process be started: for now."""


class ModelNeededError(LstmserveError):
    """What was asked for would leave requests without an answer."""


class NotCachedError(LstmserveError):
    """Only a cached reply was wanted, and there is none."""


class NotServedError(LstmserveError):
    """Say that this server does not serve the method, or has no cache to serve it with."""


class ResumeMismatchError(LstmserveError):
    """The tokens to resume after are none of this vocabulary, or make a complete reply."""


class QueueFullError(LstmserveError):
    """There are more waiting requests than the server keeps."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class QueueTokensFullError(QueueFullError):
    """The waiting requests may take more tokens than the server keeps waiting."""


class CallerShareError(QueueFullError):
    """One caller has its share of the queue waiting already."""


class FormTooComplexError(LstmserveError):
    """To keep the grammar after the tokens so far takes more work than is done for a reply."""


class PoisonedRequestError(LstmserveError):
    """Working on this request has ended the engine's process again and again."""


class UnauthenticatedError(LstmserveError):
    """Who calls has not been proved; the text is the same whatever was sent, and tells nothing."""

    def __init__(self) -> None:
        super().__init__(
            "this server serves known callers only: send the metadata 'authorization: Bearer "
            "TOKEN' with a token that is in force"
        )


class PermissionDeniedError(LstmserveError):
    """The caller is known, and may not call this method."""


class RateLimitError(LstmserveError):
    """A principal has made as many requests as it may, for now."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class ConcurrencyLimitError(LstmserveError):
    """A principal has as many calls running as it may."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class DeadlineError(LstmserveError):
    """The caller's deadline passed before its reply was complete."""


class DeadlineInfeasibleError(DeadlineError):
    """The caller's deadline cannot be met; refused before any work."""


class UnavailableError(LstmserveError):
    """This server cannot answer now."""

    retry_seconds = 1.0


class CacheUnavailableError(UnavailableError):
    """Redis does not answer; only administration is told, for a lookup it is a miss."""


class DrainingError(UnavailableError):
    """The server is shutting down and takes nothing new."""


class ModelLoadingError(UnavailableError):
    """The version is being loaded."""


class EngineDeadError(UnavailableError):
    """The engine has failed."""


class StartupError(LstmserveError):
    """The server cannot start; the text is one line for the operator."""


class NoThreadError(StartupError):
    """The system lets no further thread be started: for now."""

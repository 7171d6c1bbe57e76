"""What the command line shows.

The server's text is printed as it is: rich never reads it as markup.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmserve_client.errors import (
    FieldViolation,
    InvalidRequestError,
    LstmserveError,
    NotCachedError,
    OverloadedError,
    UnavailableError,
)
from lstmserve_client.stream import join
from lstmserve_client.types import (
    CacheStats,
    Chunk,
    Classification,
    Completion,
    Event,
    Model,
    Reply,
    ReplyOutcome,
)

_DIGEST_LETTERS = 12
_BYTES_PER_MB = 1e6
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def write(text: str) -> None:
    """Print now: whoever reads a stream wants its pieces when they come."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_json(value: Event | Model | CacheStats | FieldViolation | Reply) -> None:
    """One line that is a JSON object, with the kind of value under ``"type"``."""
    kind = _WORD_START.sub("_", type(value).__name__).lower()
    write(json.dumps({"type": kind, **dataclasses.asdict(value)}) + "\n")


def write_note(text: str) -> None:
    """One line beside the output proper."""
    sys.stdout.flush()  # a terminal shows both: keep their order
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


def show_reply(
    events: Iterable[Event], *, as_json: bool = False, show_stats: bool = False
) -> Reply:
    """A reply as it arrives, then what was asked for besides its text; returns the whole."""
    reply = _write_events(events, write_json if as_json else _write_text)
    if reply.logprobs and not as_json:
        _show_logprobs(reply)
    if show_stats:
        write_note(_stats_line(reply))
    return reply


def show_ranked(best: Reply, *, as_json: bool = False, show_stats: bool = False) -> None:
    """The best reply and the alternatives to it, best first."""
    for reply in (best, *best.alternatives):
        if as_json:
            write_json(dataclasses.replace(reply, alternatives=()))
        else:
            write(f"{reply.text}\n")
        if reply.logprobs and not as_json:
            _show_logprobs(reply)
        if show_stats:
            write_note(_stats_line(reply))


def _write_events(events: Iterable[Event], write_event: Callable[[Event], None]) -> Reply:
    seen: list[Event] = []
    try:
        for event in events:
            seen.append(event)
            write_event(event)
    except LstmserveError:
        if write_event is _write_text and any(isinstance(event, Chunk) for event in seen):
            write("\n")  # the error gets a line of its own
        raise
    return join(seen)


def _write_text(event: Event) -> None:
    match event:
        case Chunk():
            write(event.text)
        case Completion():
            write("\n")


def describe(error: LstmserveError, target: str) -> str:
    """What went wrong and what to do, for a person."""
    if isinstance(error, InvalidRequestError) and error.violations:
        wrong = "; ".join(f"{each.field}: {each.description}" for each in error.violations)
        return f"invalid request: {wrong}"
    if isinstance(error, UnavailableError) and error.reason is None:  # no server said this
        if error.received_tokens or error.was_accepted:
            return f"the connection to {target} broke ({error}){_advice(error)}"
        return str(error)
    if isinstance(error, NotCachedError):  # the server's words name the wire's field
        return f"the reply is not in the cache; call without --cache to generate it{_advice(error)}"
    return f"{error}{_advice(error)}"


def _advice(error: LstmserveError) -> str:
    delay = None
    if isinstance(error, OverloadedError | UnavailableError):
        delay = error.retry_delay_seconds
    wait = "" if delay is None else f"; try again in {delay:g} s"
    return wait + (f" (request {error.request_id})" if error.request_id else "")


def show_classification(found: Classification) -> None:
    """One line for each label, most probable first, then how likely it is that any fits."""
    for label in found.ranking:
        write(f"{label.probability:.3f}  {label.name}\n")
    write_note(f"in scope: {found.in_scope_probability:.3f}")


def _stats_line(reply: Reply) -> str:
    """One line of everything about a reply that is not its text."""
    started, completion, found = reply.started, reply.completion, reply.classification
    is_plain = completion.outcome is ReplyOutcome.UNKNOWN or found is None
    usage, timings = completion.usage, completion.timings
    facts = {
        "model": f"{started.model}/{started.model_version}",
        "exact": "no" if started.is_inexact else None,
        "seed": started.seed,
        "finish": completion.finish_reason,
        "prompt_tokens": usage.prompt_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens or None,
        "generated_tokens": usage.generated_tokens,
        "cache": completion.cache,
        "saved": f"{timings.saved_seconds * 1e3:.1f}ms" if timings.saved_seconds else None,
        "constraint": f"{timings.constraint_seconds * 1e3:.1f}ms"
        if timings.constraint_seconds
        else None,
        "mean_logprob": None if reply.mean_logprob is None else f"{reply.mean_logprob:.3f}",
        "labels": ",".join(completion.labels) or "-",
        "confidence": None if found is None else f"{found.label.probability:.2f}",
        "outcome": None if is_plain else completion.outcome,
        "source": None if is_plain else started.source,
        "first_token": f"{timings.time_to_first_token_seconds * 1e3:.1f}ms",
        "total": f"{timings.total_seconds * 1e3:.1f}ms",
        "request": started.request_id or "-",
    }
    return " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)


def _show_logprobs(reply: Reply) -> None:
    """A table of the reply's tokens and their likeliest rivals, on standard error."""
    table = Table("token", "id", "logprob", "most likely")
    for token_id, position in zip(reply.token_ids, reply.logprobs, strict=False):
        texts = {each.token_id: each.text for each in position.top}
        rivals = "  ".join(f"{each.text!r} {each.logprob:.3f}" for each in position.top)
        text = repr(texts[token_id]) if token_id in texts else ""
        table.add_row(Text(text), str(token_id), f"{position.logprob:.3f}", Text(rivals))
    Console(stderr=True, highlight=False).print(table)


def show_models(models: Sequence[Model]) -> None:
    """A table of model versions, then the reasons of those that have one, which may be long."""
    table = Table(box=None, pad_edge=False)  # so that names are whole in 80 columns
    for heading in ("model", "version", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("default", "share", "parameters", "size", "digest"):
        table.add_column(heading)
    for model in models:
        is_described = bool(model.digest)  # as long as it is loaded
        table.add_row(
            Text(model.name),
            Text(model.version),
            f"{model.state}, inexact" if model.is_inexact else model.state,
            "yes" if model.is_default else "",
            f"{model.traffic_share:.0%}" if model.traffic_share else "",
            f"{model.sizes.parameters:,}"
            if model.digest
            else "",  # none is told of what is not loaded
            f"{model.sizes.size_bytes / _BYTES_PER_MB:.1f} MB" if is_described else "",
            Text(model.digest[:_DIGEST_LETTERS]),
        )
    console = Console(highlight=False)
    console.print(table)
    for model in models:
        if model.state_reason:
            reason = f"{model.name} version {model.version} is {model.state}: {model.state_reason}"
            console.print(Text(reason), soft_wrap=True)

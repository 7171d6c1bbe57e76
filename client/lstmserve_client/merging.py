"""Options that can be given in more than one way, brought into one. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypedDict, cast

from lstmserve_client.checks import check_seconds, check_type
from lstmserve_client.constraints import Constraint
from lstmserve_client.keywords import CacheModeName, PriorityName
from lstmserve_client.types import CacheMode, Priority, SamplingParams, StoppingCriteria

Options = Mapping[str, Any]


class FoldedOptions(TypedDict, total=False):
    """What a request says besides its prompt, each given one way."""

    model: str
    model_version: str | int
    sampling: SamplingParams
    stopping: StoppingCriteria
    cache_mode: CacheMode | CacheModeName
    cache_tags: str | Sequence[str]
    priority: Priority | PriorityName
    min_confidence: float
    variables: Mapping[str, str]
    constraint: Constraint


class _Group(NamedTuple):
    """Keywords that are the fields of one object, by their names there."""

    name: str
    kind: type[SamplingParams | StoppingCriteria]
    keywords: Mapping[str, str]


_GROUPS = tuple(
    _Group(name, kind, {renamed.get(each.name, each.name): each.name for each in fields(kind)})
    for name, kind, renamed in (
        ("sampling", SamplingParams, {}),
        ("stopping", StoppingCriteria, {"stop_sequences": "stop"}),
    )
)
_TIMEOUTS = ("timeout", "timeout_seconds")


def fold(options: Options) -> FoldedOptions:
    """Put single keywords into the object they are fields of, and drop what is ``None``.

    Raises TypeError for a field that is given both ways.
    """
    folded = {name: value for name, value in options.items() if value is not None}
    for name, kind, keywords in _GROUPS:
        given = {keywords[each]: folded.pop(each) for each in keywords if each in folded}
        if given:
            whole = folded.get(name, kind())
            check_type(name, whole, kind)
            _check_once(name, whole, given)
            folded[name] = replace(whole, **{key: _plain(key, given[key]) for key in given})
    return cast("FoldedOptions", folded)


def overlay(options: Options, own: Options) -> dict[str, Any]:
    """The options of a conversation with those of one call, which go before them.

    A whole object replaces the other one; a single keyword replaces its field alone.
    """
    under = dict(options)
    for name, _, keywords in _GROUPS:
        if own.get(name) is not None:
            under = {key: under[key] for key in under if key not in keywords}
        elif not keywords.keys().isdisjoint(own):
            under |= _fields(under.pop(name, None), keywords)
    return under | dict(own)


def timeout_of(options: Options) -> float | None:
    """The seconds a call may take, by either name; ``None`` where nothing is said."""
    given = [name for name in _TIMEOUTS if options.get(name) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise TypeError("timeout: is the same as timeout_seconds; give one of them")
    seconds = options[given[0]]
    check_seconds(given[0], seconds)
    if not seconds > 0:
        raise ValueError(f"{given[0]}: must be above 0 seconds; math.inf waits for ever")
    return float(seconds)


def _check_once(name: str, whole: object, given: Iterable[str]) -> None:
    for key in given:
        if getattr(whole, key) not in (None, (), {}):
            raise TypeError(f"{key}: is given by keyword and in {name}; leave one of them out")


def _fields(whole: object, keywords: Mapping[str, str]) -> dict[str, Any]:
    found = {keyword: getattr(whole, key, None) for keyword, key in keywords.items()}
    return {keyword: value for keyword, value in found.items() if value not in (None, (), {})}


def _plain(key: str, value: Any) -> Any:  # noqa: ANN401 - as the field's
    """One stop sequence is a text, several are a list of them."""
    if key != "stop_sequences":
        return value
    if not isinstance(value, str | list | tuple):
        kind = type(value).__name__
        raise TypeError(f'stop: must be text, or several such as ["\\n", "END"], not {kind}')
    return (value,) if isinstance(value, str) else tuple(value)

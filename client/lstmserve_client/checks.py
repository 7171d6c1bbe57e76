"""What types say already, for callers that nobody checks: every check raises TypeError."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from lstmserve_client import keywords

# where else an option may belong, the likeliest place first
_PLACES = {
    "reply()": keywords.WholeReplyOptions.__optional_keys__,
    "generate()": keywords.GenerateOptions.__optional_keys__,
    "Client(...)": keywords.ClientOptions.__optional_keys__,
}
_POSITIONAL = {"prompt", "target"}
# what other libraries call them, where the names are not alike
_OTHER_NAMES = {
    "address": "target",
    "deadline": "timeout",
    "history": "prompt",
    "host": "target",
    "messages": "prompt",
    "n": "num_replies",
    "port": "target",
    "session_id": "request_id",
    "stop_sequences": "stop",
}
_WORDS: Mapping[type, str] = {
    int: "a whole number",
    str: "text",
    Mapping: "a mapping, such as a dict",
}


def check_names(options: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse an unknown option of ``place``, such as ``"reply()"``."""
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: {place} has no such option; {_advise(name, known)}")


def check_type(name: str, value: object, kind: type) -> None:
    """Refuse a value of another kind."""
    if not isinstance(value, kind):
        wanted = _WORDS.get(kind) or f"a {kind.__name__}"
        raise TypeError(f"{name}: must be {wanted}, not {type(value).__name__}")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no number of seconds; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: must be a number of seconds, not {type(value).__name__}")


def _advise(name: str, known: Iterable[str]) -> str:
    """The nearest right name here, or the place that has one; else all names."""
    wanted = _OTHER_NAMES.get(name, name)
    if wanted in {*known, *_POSITIONAL}:
        return f"use {wanted}"
    places = [place for place, names in _PLACES.items() if wanted in names]
    if places:
        return f"it is one of {', '.join(places)}"
    near = get_close_matches(name, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"

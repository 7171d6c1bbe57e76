"""What types say already, for callers that nobody checks: every check raises TypeError."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from lstmserve_client import keywords
from lstmserve_client.other_names import ADDRESSES, ADVICE, OPTIONS, TEXTS

CLIENT = "Client(...)"
# where else an option may belong, the likeliest place first
_PLACES = {
    "reply()": keywords.WholeReplyOptions.__optional_keys__,
    "generate()": keywords.GenerateOptions.__optional_keys__,
    CLIENT: keywords.ClientOptions.__optional_keys__,
    "reply_many()": {"concurrency", "raise_errors"},
    "conversation()": {"max_turns"},
}
_WORDS: Mapping[type, str] = {
    int: "a whole number",
    str: "text",
    Mapping: "a mapping, such as a dict",
}


def check_names(
    options: Iterable[str], known: Iterable[str], place: str, first: str = "prompt"
) -> None:
    """Refuse an unknown option of ``place``, such as ``"reply()"``, whose first argument has the
    name ``first``.
    """
    for name in options:
        if name not in known:
            advice = _advise(name, known, "target" if place == CLIENT else first)
            raise TypeError(f"{name}: {place} has no such option; {advice}")


def check_count(count: int, names: Sequence[str], place: str) -> None:
    """Refuse more arguments without a name than ``names`` has."""
    if count <= len(names):
        return
    if place == CLIENT:
        raise TypeError(
            f"{place} takes target alone without a name: host and port are one text, such as "
            'Client("127.0.0.1:50051"), and several servers one list'
        )
    taken = f"{' and '.join(names)} alone" if names else "nothing"
    raise TypeError(f"{place} takes {taken} without a name; name the others, such as timeout=3")


def check_type(name: str, value: object, kind: type) -> None:
    """Refuse a value of another kind."""
    if not isinstance(value, kind):
        wanted = _WORDS.get(kind) or f"a {kind.__name__}"
        raise TypeError(f"{name}: must be {wanted}, not {type(value).__name__}")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no number of seconds; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: must be a number of seconds, not {type(value).__name__}")


def _advise(name: str, known: Iterable[str], first: str) -> str:
    """The right name here, or the place that has one; else the nearest name, or all."""
    wanted = OPTIONS.get(name, name)
    if wanted in known:
        return f"use {wanted}"
    if name in ADDRESSES:
        return 'use target, such as Client("127.0.0.1:50051")'
    if name in TEXTS:
        is_prompt = first and first != "target"
        return f"use {first}" if is_prompt else "it is for reply() and generate()"
    if name in ADVICE:
        return ADVICE[name]
    if places := [place for place, names in _PLACES.items() if wanted in names]:
        taken = ", ".join(places)
        return f"it is an option of {taken}" if wanted == name else f"use {wanted} of {taken}"
    near = get_close_matches(name, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"

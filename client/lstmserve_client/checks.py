"""What types say already, for callers that nobody checks: every check raises TypeError."""

from collections.abc import Iterable


def check_names(options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an unknown option."""
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: unknown option; options are: {', '.join(sorted(known))}")


def check_type(name: str, value: object, kind: type) -> None:
    """Refuse a value of another kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: must be a {kind.__name__}, not {type(value).__name__}")

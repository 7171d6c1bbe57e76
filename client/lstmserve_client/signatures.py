"""Keywords that a method takes as one TypedDict, told one by one by ``help()`` and editors."""

from collections.abc import Callable
from inspect import Parameter, cleandoc, signature
from typing import Any, TypeVar, get_args, get_type_hints

Method = TypeVar("Method", bound=Callable[..., Any])


def spelled_out(method: Method) -> Method:
    """Tell what a method's ``**options: Unpack[…]`` are, in its signature and its docstring."""
    plain = signature(method)
    *own, options = plain.parameters.values()
    [kind] = get_args(options.annotation)
    keywords = get_type_hints(kind, include_extras=True)
    told = [_parameter(name, hint) for name, hint in keywords.items()]
    method.__signature__ = plain.replace(parameters=[*own, *told])  # type: ignore[attr-defined]  # inspect's hook
    if method.__doc__ is not None:  # python -OO drops them
        lines = [f"{name}: {_description(hint)}" for name, hint in keywords.items()]
        method.__doc__ = "\n".join([cleandoc(method.__doc__), "", "Keywords:", "", *lines])
    return method


def _parameter(name: str, hint: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=get_args(hint)[0])


def _description(hint: object) -> str:
    return str(get_args(hint)[1])

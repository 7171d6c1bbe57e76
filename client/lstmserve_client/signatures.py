"""Keywords that a method takes as one TypedDict, told one by one by ``help()`` and editors, and
what is wrong with a call's arguments, told in words.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, cleandoc, iscoroutinefunction, signature
from typing import Any, TypeVar, cast, get_args, get_type_hints

from lstmserve_client.checks import CLIENT, check_count, check_names

Method = TypeVar("Method", bound=Callable[..., Any])


def spelled_out(method: Method) -> Method:
    """Tell what a method's ``**options: Unpack[…]`` are, in its signature and its docstring, and
    check its arguments' names and number before they bind: Python's own words help nobody on.
    """
    plain = signature(method)
    *own, options = plain.parameters.values()
    [kind] = get_args(options.annotation)
    keywords = get_type_hints(kind, include_extras=True)
    told = [_parameter(name, hint) for name, hint in keywords.items()]
    checked = _checked(method, _Arguments.of(method, own, keywords))
    checked.__signature__ = plain.replace(parameters=[*own, *told])  # type: ignore[attr-defined]  # inspect's hook
    if method.__doc__ is not None:  # python -OO drops them
        lines = [f"{name}: {_description(hint)}" for name, hint in keywords.items()]
        checked.__doc__ = "\n".join([cleandoc(method.__doc__), "", "Keywords:", "", *lines])
    return checked


@dataclass(frozen=True, slots=True)
class _Arguments:
    """What one method takes."""

    place: str  # as errors call it
    names: frozenset[str]
    positional: tuple[str, ...]  # besides self
    required: tuple[str, ...]

    @classmethod
    def of(
        cls, method: Callable[..., Any], own: list[Parameter], keywords: Collection[str]
    ) -> "_Arguments":
        """Of a method with ``own`` parameters and these keywords."""
        _, *own = own  # self
        by_position = [each for each in own if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
        return cls(
            CLIENT if method.__name__ == "__init__" else f"{method.__name__}()",
            frozenset({*(each.name for each in own), *keywords}),
            tuple(each.name for each in by_position),
            tuple(each.name for each in by_position if each.default is Parameter.empty),
        )

    def check(self, count: int, options: Collection[str]) -> None:
        """Raise TypeError unless ``count`` arguments and these ``options`` can be bound."""
        check_count(count, self.positional, self.place)
        check_names(options, self.names, self.place, next(iter(self.positional), ""))
        for name in self.required[count:]:
            if name not in options:
                raise TypeError(f"{name}: is missing; {self.place} cannot do without it")


def _checked(method: Method, arguments: _Arguments) -> Method:
    @wraps(method)
    def check(self: object, *args: object, **options: object) -> object:
        arguments.check(len(args), options)
        return method(self, *args, **options)

    @wraps(method)
    async def check_on_a_loop(self: object, *args: object, **options: object) -> object:
        arguments.check(len(args), options)
        return await method(self, *args, **options)

    return cast("Method", check_on_a_loop if iscoroutinefunction(method) else check)


def _parameter(name: str, hint: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=get_args(hint)[0])


def _description(hint: object) -> str:
    return str(get_args(hint)[1])

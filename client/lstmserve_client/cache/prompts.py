"""What a file of prompts asks for, line by line. Pure functions, no I/O."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lstmserve_client.cache.fields import LINE, check_object
from lstmserve_client.keywords import (
    RequestOptions,
)
from lstmserve_client.types import (
    SamplingParams,
    StoppingCriteria,
)


@dataclass(frozen=True, slots=True)
class PromptLine:
    """One request to store the replies to."""

    number: int  # of the line, from 1
    prompt: str
    options: RequestOptions


class BadLinesError(ValueError):
    """Lines that are no requests; ``problems`` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_lines(text: str, options: RequestOptions) -> list[PromptLine]:
    """The requests of a file; ``options`` hold for all that a line does not say.

    Raises BadLinesError: a file is taken as a whole or not at all.
    """
    found: list[PromptLine] = []
    problems: list[str] = []
    for number, line in _lines(text):
        try:
            found.append(_read_line(number, line, options))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise BadLinesError(problems)
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # not splitlines(): it also splits at characters that a prompt may contain
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _read_line(number: int, line: str, options: RequestOptions) -> PromptLine:
    if not line.lstrip().startswith("{"):
        return PromptLine(number, line, options)
    values = check_object("", _parse(line), LINE)
    if "prompt" not in values:
        raise ValueError('"prompt" is missing')
    return PromptLine(number, values.pop("prompt"), _over(options, values))


def _parse(line: str) -> object:
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not valid JSON: {error.msg} at character {error.pos + 1}; "
            'a prompt that begins with "{" is written as {"prompt": "..."}'
        ) from error
    except RecursionError as error:
        raise ValueError("not valid JSON: nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"not valid JSON: {name} is not a number")


def _over(options: RequestOptions, own: Mapping[str, Any]) -> RequestOptions:
    """The options with what a line says itself."""
    sampling = options.get("sampling") or SamplingParams()
    stopping = options.get("stopping") or StoppingCriteria()
    return {
        **options,
        "model": own.get("model", options.get("model", "")),
        "model_version": own.get("model_version", options.get("model_version", "")),
        "sampling": replace(sampling, **own.get("sampling", {})),
        "stopping": replace(stopping, **own.get("stopping", {})),
    }

"""The command line's options, in groups that several verbs share."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from lstmserve_client.config import DEFAULT_TARGET, DEFAULT_TIMEOUT_SECONDS
from lstmserve_client.constraints import (
    Choices,
    Constraint,
    Form,
    Grammar,
    JsonSchema,
    Regex,
)
from lstmserve_client.keywords import (
    ClientOptions,
    RequestOptions,
)
from lstmserve_client.policies import RetryPolicy
from lstmserve_client.tls import Tls
from lstmserve_client.types import (
    CacheMode,
    SamplingParams,
    StoppingCriteria,
)

_REQUEST = "Request"
_SAMPLING = "Sampling (the model's defaults where absent)"
_STOPPING = "Stopping"
_CONSTRAINT = "Constraint (at most one of them)"
_SERVER = "Server"
# a person sees sooner that nobody is there, and may ask again
_MAX_ATTEMPTS = 3


def _count(help_text: str, panel: str) -> Any:  # noqa: ANN401 - as typer types its options
    """A number that the wire cannot carry below zero; all other limits are the server's."""
    return typer.Option(min=0, metavar="N", help=help_text, rich_help_panel=panel)


def _read(option: str, path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"{option}: {path}: {error.strerror or error}") from None
    except UnicodeError:
        raise typer.BadParameter(f"{option}: {path}: is not UTF-8; save it as UTF-8") from None


def _sampling(help_text: str) -> Any:  # noqa: ANN401 - as typer types its options
    return typer.Option(metavar="X", help=help_text, rich_help_panel=_SAMPLING)


def _seconds(value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise typer.BadParameter("must be a positive number of seconds")
    return value


def _target(value: str) -> str:
    if not all(target.strip() for target in value.split(",")):
        raise typer.BadParameter("must be HOST:PORT, or several with commas between them")
    return value


def _variables(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        if "=" not in value:
            raise typer.BadParameter(f"{value!r} must be NAME=VALUE")
    return values


def _file(help_text: str, envvar: str | None = None) -> Any:  # noqa: ANN401 - as typer types its options
    return typer.Option(
        exists=True,
        dir_okay=False,
        envvar=envvar,
        metavar="PEM",
        help=help_text,
        rich_help_panel=_SERVER,
    )


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Which server, how it is known, who asks, and how long to wait for it.

    The token is in no option of its own: the processes of a machine see each other's options.
    """

    target: Annotated[
        str,
        typer.Option(
            envvar="LSTMSERVE_TARGET",
            callback=_target,
            metavar="HOST:PORT",
            help="The server, or several with commas between them, which take turns.",
            rich_help_panel=_SERVER,
        ),
    ] = DEFAULT_TARGET
    timeout: Annotated[
        float,
        typer.Option(
            callback=_seconds,
            metavar="SECONDS",
            help="The most time one request may take.",
            rich_help_panel=_SERVER,
        ),
    ] = DEFAULT_TIMEOUT_SECONDS
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            envvar="LSTMSERVE_TLS",
            help="Connect with TLS; any other --tls option implies it.",
            rich_help_panel=_SERVER,
        ),
    ] = False
    tls_authority: Annotated[
        Path | None,
        _file(
            "Who signs the server's certificate; without it, whom gRPC trusts.",
            "LSTMSERVE_TLS_AUTHORITY",
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None, _file("The client's own certificate, for servers that ask for one.")
    ] = None
    tls_key: Annotated[Path | None, _file("The key of --tls-certificate.")] = None
    tls_server_name: Annotated[
        str,
        typer.Option(
            envvar="LSTMSERVE_TLS_SERVER_NAME",
            metavar="NAME",
            help="The name in the server's certificate, where it is not the target's.",
            rich_help_panel=_SERVER,
        ),
    ] = ""
    token_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            envvar="LSTMSERVE_TOKEN_FILE",
            metavar="FILE",
            help="File with the token to call with; or set LSTMSERVE_TOKEN.",
            rich_help_panel=_SERVER,
        ),
    ] = None

    allow_clear_token: Annotated[
        bool,
        typer.Option(
            "--allow-clear-token",
            help="Send the token without TLS to another machine: the network is trusted.",
            rich_help_panel=_SERVER,
        ),
    ] = False

    @property
    def targets(self) -> list[str]:
        return [target.strip() for target in self.target.split(",")]

    @property
    def client_options(self) -> ClientOptions:
        """Raises ValueError or OSError for what cannot be used."""
        return ClientOptions(
            tls=self._tls,
            token=self._token,
            allow_clear_token=self.allow_clear_token,
            retry=RetryPolicy(max_attempts=_MAX_ATTEMPTS),
        )

    @property
    def _tls(self) -> Tls | None:
        files = (self.tls_authority, self.tls_certificate, self.tls_key)
        if not (self.tls or self.tls_server_name or any(files)):
            return None
        return Tls.from_files(
            authority=self.tls_authority,
            certificate=self.tls_certificate,
            key=self.tls_key,
            server_name=self.tls_server_name,
        )

    @property
    def _token(self) -> str | None:
        if self.token_file is not None:
            try:
                return self.token_file.read_text("utf-8-sig").strip()
            except UnicodeError:
                raise ValueError("--token-file: is not UTF-8; save it as UTF-8") from None
        return os.environ.get("LSTMSERVE_TOKEN") or None


@dataclass(frozen=True, kw_only=True)
class ReplyOptions:
    """Which model answers, how it chooses tokens, and when it stops."""

    model: Annotated[
        str, typer.Option(help="Empty for the server's default.", rich_help_panel=_REQUEST)
    ] = ""
    model_version: Annotated[
        str, typer.Option(help="Empty for the one served by default.", rich_help_panel=_REQUEST)
    ] = ""
    temperature: Annotated[float | None, _sampling("0 is greedy; 1 as the model learned.")] = None
    top_k: Annotated[
        int | None, _count("Sample among the k most likely tokens; 0 means all.", _SAMPLING)
    ] = None
    top_p: Annotated[
        float | None, _sampling("Sample among the tokens that reach this probability.")
    ] = None
    min_p: Annotated[
        float | None, _sampling("Drop tokens less likely than this times the likeliest.")
    ] = None
    repetition_penalty: Annotated[
        float | None, _sampling("Make tokens seen so far less likely; 1 changes nothing.")
    ] = None
    frequency_penalty: Annotated[float | None, _sampling("Per occurrence in the reply so far.")] = (
        None
    )
    presence_penalty: Annotated[
        float | None, _sampling("For every token that the reply has so far.")
    ] = None
    seed: Annotated[
        int | None,
        _count("Make a sampled reply repeatable.", _SAMPLING),
    ] = None
    max_tokens: Annotated[int | None, _count("The longest reply.", _STOPPING)] = None
    min_tokens: Annotated[int | None, _count("Do not end by itself before.", _STOPPING)] = None
    stop: Annotated[
        list[str] | None,
        typer.Option(
            help="End before this text; may be given several times.", rich_help_panel=_STOPPING
        ),
    ] = None
    logprobs: Annotated[
        int | None, _count("Ask for the log-probabilities of this many tokens.", "Output")
    ] = None

    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Take the fallback answer where the label is less probable.",
            rich_help_panel=_REQUEST,
        ),
    ] = None
    variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            callback=_variables,
            help="A value for the placeholder {{NAME}}; may be given several times.",
            rich_help_panel=_REQUEST,
        ),
    ] = None

    regex: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Let the whole reply match this regular expression (of Rust's crate regex).",
            rich_help_panel=_CONSTRAINT,
        ),
    ] = None
    choice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Let the reply be one of these texts; may be given several times.",
            rich_help_panel=_CONSTRAINT,
        ),
    ] = None
    json_schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Let the reply be a value of the JSON schema in this file.",
            rich_help_panel=_CONSTRAINT,
        ),
    ] = None
    grammar: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Let the reply keep the grammar in this file (Lark's syntax).",
            rich_help_panel=_CONSTRAINT,
        ),
    ] = None
    form: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Let the reply keep a form that the version names.",
            rich_help_panel=_CONSTRAINT,
        ),
    ] = None
    prompt_characters: Annotated[
        int, _count("So many characters at the prompt's end begin what keeps it.", _CONSTRAINT)
    ] = 0

    @property
    def _constraint(self) -> Constraint | None:
        given: list[Constraint] = []
        if self.regex is not None:
            given.append(Regex(self.regex))
        if self.choice:
            given.append(Choices(tuple(self.choice)))
        if self.json_schema is not None:
            given.append(JsonSchema(_read("--json-schema", self.json_schema)))
        if self.grammar is not None:
            given.append(Grammar(_read("--grammar", self.grammar)))
        if self.form is not None:
            given.append(Form(self.form))
        if len(given) > 1:
            raise typer.BadParameter(
                "--regex, --choice, --json-schema, --grammar and --form exclude each other"
            )
        if self.prompt_characters and not given:
            raise typer.BadParameter("--prompt-characters goes with a constraint, such as --form")
        return replace(given[0], prompt_characters=self.prompt_characters) if given else None

    @property
    def request_options(self) -> RequestOptions:
        return RequestOptions(
            constraint=self._constraint,
            min_confidence=self.min_confidence,
            variables=dict(each.split("=", 1) for each in self.variable or ()),
            model=self.model,
            model_version=self.model_version,
            # all of its fields but one have an option of the same name
            sampling=SamplingParams(
                **{
                    each.name: getattr(self, each.name)
                    for each in fields(SamplingParams)
                    if hasattr(self, each.name)
                }
            ),
            stopping=StoppingCriteria(
                max_tokens=self.max_tokens,
                min_tokens=self.min_tokens,
                stop_sequences=tuple(self.stop or ()),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """How the reply cache may be used."""

    cache: Annotated[
        CacheMode,
        typer.Option(
            metavar="MODE",
            help="The reply cache: default, bypass (neither read nor store), refresh (generate "
            "and store) or only_if_cached (fail rather than generate).",
            rich_help_panel=_REQUEST,
        ),
    ] = CacheMode.DEFAULT
    cache_tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="A name to purge what is kept by; may be given several times.",
            rich_help_panel=_REQUEST,
        ),
    ] = None

    def over(self, options: RequestOptions) -> RequestOptions:
        return {**options, "cache_mode": self.cache, "cache_tags": self.cache_tag or ()}


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Turn each parameter that is a group of options into the options of that group.

    typer reads a function's signature and knows no groups, so this writes one for it.
    """
    parameters = signature(verb).parameters
    groups = {
        name: each.annotation
        for name, each in parameters.items()
        if isinstance(each.annotation, type) and is_dataclass(each.annotation)
    }
    members = {name: signature(group).parameters for name, group in groups.items()}

    @wraps(verb)
    def run(**values: Any) -> None:  # noqa: ANN401 - whatever the options are typed as
        filled = {
            name: groups[name](**{member: values.pop(member) for member in members[name]})
            for name in groups
        }
        verb(**values, **filled)

    own = [parameter for name, parameter in parameters.items() if name not in groups]
    flat = [*own, *(member for group in members.values() for member in group.values())]
    run.__signature__ = signature(verb).replace(  # type: ignore[attr-defined]  # inspect's hook
        parameters=[each.replace(kind=Parameter.KEYWORD_ONLY) for each in flat]
    )
    run.__annotations__ = {each.name: each.annotation for each in flat} | {"return": None}
    return run

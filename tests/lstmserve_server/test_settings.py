"""Where options come from, and what is said about wrong ones."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import command
from lstmserve_server.command_line import read_command_line
from lstmserve_server.config import (
    Address,
    PageConfig,
    TelemetryConfig,
    TracingConfig,
    parse_address,
)
from lstmserve_server.errors import StartupError
from lstmserve_server.options import OPTIONS
from support.options import find_value, read_config

# option, and what flag, environment and file say; the default is in OPTIONS
SOURCES = [
    ("max_running", "3", "4", "5"),
    ("listen", "localhost:1", "localhost:2", "'localhost:3'"),
    ("drain_seconds", "1.5", "2.5", "3.5"),
    ("model_store", "a", "b", "'c'"),
    ("log_level", "DEBUG", "WARNING", "'ERROR'"),
]
ports = st.integers(0, 65535)
names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("LSTMSERVE_"):
            monkeypatch.delenv(name)


def write_config(folder: Path, text: str) -> str:
    path = folder / "server.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(*arguments: str) -> str:
    """What the server says instead of starting; one line."""
    with pytest.raises(StartupError) as caught:
        read_command_line(arguments)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize(
    "url", ["http://me:s3cr3t@host", "redis://me:s3cr3t@host/x", "redis+sentinel://me:s3cr3t@host"]
)
def test_a_bad_url_is_never_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    said = [refused(f"--redis-url={url}")]
    said.append(refused("--config", write_config(tmp_path, f"redis_url = '{url}'")))
    monkeypatch.setenv("LSTMSERVE_REDIS_URL", url)
    said.append(refused())
    assert all("--redis-url" in text and "s3cr3t" not in text for text in said)


@pytest.mark.parametrize(
    "url", ["host:4317", "ftp://host:4317", "http://host", "http://me:s3cr3t@host:4317", "http://"]
)
def test_a_collector_has_a_scheme_and_a_port_and_no_password_in_its_address(url: str) -> None:
    said = refused(f"--trace-endpoint={url}")
    assert said.startswith("--trace-endpoint: must be http://HOST:PORT or https://HOST:PORT")
    assert "s3cr3t" not in said


def test_traces_and_prompts_in_the_log_are_asked_for() -> None:
    assert read_config().telemetry == TelemetryConfig()
    asked = ("--trace-endpoint=https://host:4317", "--trace-ratio=0.1", "--log-prompts=redacted")
    assert read_config(asked).telemetry == TelemetryConfig(
        log_prompts="redacted", tracing=TracingConfig("https://host:4317", 0.1)
    )


@pytest.mark.parametrize(("option", "flag", "variable", "in_file"), SOURCES)
def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    flag: str,
    variable: str,
    in_file: str,
) -> None:
    file = write_config(tmp_path, f"{option} = {in_file}")
    given_flag = (f"--{option.replace('_', '-')}", flag)

    def value(*arguments: str) -> str:
        return str(find_value(read_config(arguments), option))

    assert value() == str(OPTIONS[option].default)
    assert value("--config", file) == in_file.strip("'")
    monkeypatch.setenv(f"LSTMSERVE_{option.upper()}", variable)
    assert value("--config", file) == value() == variable
    assert value("--config", file, *given_flag) == value(*given_flag) == flag


def test_the_file_may_be_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LSTMSERVE_CONFIG", write_config(tmp_path, "max_running = 9"))
    assert read_config().engine.max_running == 9


def test_options_from_different_sources_stand_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write_config(tmp_path, "max_running = 9\nlisten = '[::1]:7'")
    monkeypatch.setenv("LSTMSERVE_MAX_WAITING", "8")
    config = read_config([f"--config={file}", "--quantum-steps=7"])
    engine = config.engine
    assert (engine.max_running, engine.max_waiting, engine.quantum_steps) == (9, 8, 7)
    assert config.listen == Address("::1", 7)


BAD_VALUES = [
    ("trace_ratio", "1.1"),
    ("log_prompts", "all"),
    ("max_running", "0"),
    ("max_running", "many"),
    ("max_running", ""),
    ("max_waiting", "-1"),
    ("quantum_steps", "65"),
    ("prefill_piece_tokens", "1.5"),
    ("torch_threads", "0"),
    ("workers", "0"),
    ("workers", "129"),
    ("pin", "maybe"),
    ("page", "maybe"),
    ("drain_seconds", "-0.1"),
    ("drain_seconds", "nan"),
    ("drain_notice_seconds", "inf"),
    ("log_level", "LOUD"),
    ("log_format", "xml"),
    ("listen", "50051"),
    ("listen", "localhost:65536"),
    ("metrics_listen", "localhost:-1"),
    ("metrics_listen", ":9464"),
    ("cache_bytes", "-1"),
    ("cache_bytes", "18446744073709551616"),
    ("state_cache_bytes", "18446744073709551616"),
    ("cache_threshold", "0"),
    ("cache_window_seconds", "1e-9"),
    ("cache_ttl_seconds", "0"),
    ("cache_variants", "65"),
    ("cache_scope", "nobody"),
    ("state_stride_tokens", "15"),
    ("redis_prefix", "{a}"),
    ("redis_budget_ms", "0"),
    ("redis_connections", "0"),
]


@pytest.mark.parametrize(("option", "value"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_option_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, value: str
) -> None:
    flag = f"--{option.replace('_', '-')}"
    said = [refused(f"{flag}={value}")]
    said.append(refused("--config", write_config(tmp_path, f"{option} = '{value}'")))
    monkeypatch.setenv(f"LSTMSERVE_{option.upper()}", value)
    said.append(refused())
    assert all(flag in text and repr(value) in text for text in said)


@pytest.mark.parametrize("value", ["true", "[1]", "{ a = 1 }", "nan", "1979-05-27"])
def test_a_number_in_the_file_is_a_number(tmp_path: Path, value: str) -> None:
    assert "--max-running" in refused("--config", write_config(tmp_path, f"max_running = {value}"))


@pytest.mark.parametrize("name", ["insecure", "allow_inexact"])
def test_few_options_are_switches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    flag = f"--{name.replace('_', '-')}"
    file = write_config(tmp_path, f"{name} = true")
    assert not find_value(read_config(), name)
    assert find_value(read_config([flag]), name)
    assert find_value(read_config(["--config", file]), name)
    monkeypatch.setenv(f"LSTMSERVE_{name.upper()}", "true")
    assert find_value(read_config(), name)
    monkeypatch.setenv(f"LSTMSERVE_{name.upper()}", "perhaps")
    assert flag in refused()


def test_a_value_out_of_bounds_is_answered_with_them() -> None:
    said = refused("--max-running=0", "--trace-ratio=2", "--pin=x", "--redis-budget-ms=0.5")
    assert "--max-running: must be a whole number from 1 to 1,024 (given: '0')" in said
    assert "--trace-ratio: must be a number from 0 to 1 (given: '2')" in said
    assert "--pin: must be auto or none (given: 'x')" in said
    assert "--redis-budget-ms: must be a number from 1 to 10,000" in said  # without a --redis-url


def test_what_is_only_for_redis_or_traces_means_nothing_without_their_address() -> None:
    asked = ("--redis-prefix=a", "--redis-url=", "--trace-ratio=0.5", "--trace-endpoint=")
    assert read_config(asked) == read_config()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (("--tls-certificate=a",), "--tls-key: missing"),
        (("--tls-key=a",), "--tls-certificate: missing"),
        (("--tls-client-authority=a",), "--tls-certificate: missing.*--tls-key: missing"),
    ],
)
def test_tls_needs_certificate_and_key(given: tuple[str, ...], missing: str) -> None:
    with pytest.raises(StartupError, match=missing):
        read_config(given)


def test_every_bad_value_is_told_at_once() -> None:
    text = refused("--max-running=0", "--listen=nowhere", "--log-format=xml")
    assert all(option in text for option in ("--max-running", "--listen", "--log-format"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus", "17"], "--bogus"),
        (["--bogus=17"], "--bogus"),
        (["--max-run=17"], "--max-running"),  # what may have been meant
        (["17"], "17"),
        (["--max-running=17", "token", "shop", "--scope=admin"], "--max-running"),
    ],
)
def test_what_the_command_line_does_not_take_is_named(arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


def test_a_flag_without_its_value_is_named() -> None:
    assert "--max-running" in refused("--max-running")


@pytest.mark.parametrize("name", ["LSTMSERVE_BOGUS", "lstmserve_bogus", "LSTMSERVE_MAX-RUNNING"])
def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "17")
    assert name in refused()


@pytest.mark.parametrize("key", ["bogus", "max-running", "server.listen"])
def test_an_unknown_key_of_the_file_is_named_as_it_is_written(tmp_path: Path, key: str) -> None:
    text = refused("--config", write_config(tmp_path, f"{key} = 17"))
    assert f"'{key.partition('.')[0]}'" in text
    assert "17" in text


@pytest.mark.parametrize("content", [b"max_running = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "server.toml"
    path.write_bytes(content)
    assert str(path) in refused("--config", str(path))


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        assert f"--config: {path}" in refused("--config", str(path))


@pytest.mark.parametrize("name", ["TARGET", "TOKEN", "TLS"])
def test_the_clients_variables_are_none_of_the_servers_business(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"LSTMSERVE_{name}", "elsewhere:1")
    assert read_config() == read_config(["--listen", str(OPTIONS["listen"].default)])


@given(host=names | st.ip_addresses().map(str), port=ports)
def test_an_address_is_read_back_as_it_is_shown(host: str, port: int) -> None:
    address = Address(host, port)
    assert parse_address(str(address)) == address


@given(host=st.ip_addresses(v=6), port=ports)
def test_the_address_of_ipv6_stands_in_brackets(host: ipaddress.IPv6Address, port: int) -> None:
    assert parse_address(f"[{host}]:{port}") == Address(str(host), port)
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(f"{host}:{port}")


@given(st.text())
def test_any_other_text_is_no_address(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as error:
        assert "HOST:PORT" in str(error)  # noqa: PT017 - text that is an address is welcome
    else:
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("lstm.example:1", False),
    ],
)
def test_there_is_a_page_where_only_this_machine_reaches_it_or_as_told(
    address: str, *, is_local: bool
) -> None:
    def page(*arguments: str) -> PageConfig:
        return read_config(["--metrics-listen", address, *arguments]).page_config

    assert page() == page("--page=auto") == PageConfig(is_on=is_local, is_local=True)
    assert page("--page=on") == PageConfig(is_on=True, is_local=False)
    assert not page("--page=off").is_on


def test_what_listens_everywhere_is_found_nearby() -> None:
    for host in ("0.0.0.0", "::"):
        assert Address(host, 5).nearby == Address("127.0.0.1", 5)
    assert Address("10.0.0.1", 5).nearby == Address("10.0.0.1", 5)


def test_help_names_every_option_and_starts_nothing() -> None:
    ended = run_program(command("--help"), capture_output=True, text=True, check=True)
    for option in OPTIONS.values():
        assert f"  {option.flag} " in ended.stdout
    assert "  token " in ended.stdout
    assert ended.stderr == ""


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_command_line(["--version"]) is None
    assert capsys.readouterr().out.startswith("lstmserve-server ")

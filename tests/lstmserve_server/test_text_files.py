"""What editors put into files: a mark at the beginning, ends of lines, other encodings."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from lstmserve_bundle.files import decode_text
from lstmserve_server.auth.callers_file import parse_callers
from lstmserve_server.errors import StartupError
from lstmserve_server.text_files import without_mark
from lstmserve_server.tls.material import examine, read_files
from support.certificates import Authority, config_of
from support.options import read_config

REFUSED = [
    ("listen = 1".encode("utf-16"), "is UTF-16 or UTF-32; save it as UTF-8"),
    ("listen = 1".encode("utf-32"), "is UTF-16 or UTF-32; save it as UTF-8"),
    ("listen = 1".encode("utf-16-be"), "holds NUL bytes"),
    (b"a\0", "holds NUL bytes"),
    (b'a = 1\nb = "\xe9"', r"is not UTF-8 \(line 2\); save it as UTF-8"),
    (b"listen = 1" + b"0" * 5000, "is not valid TOML: a number is too long, or lists are"),
    (b"listen = " + b"[" * 5000, "is not valid TOML: a number is too long, or lists are"),
]


def test_a_mark_at_the_beginning_is_left_out() -> None:
    assert decode_text(codecs.BOM_UTF8 + "é".encode()) == decode_text("é".encode()) == "é"
    assert without_mark(codecs.BOM_UTF8 + b"a") == without_mark(b"a") == b"a"
    assert decode_text(b"") == ""


@pytest.mark.parametrize(("data", "said"), REFUSED)
def test_what_is_no_text_is_refused_wherever_it_stands(
    tmp_path: Path, data: bytes, said: str
) -> None:
    file = tmp_path / "lstmserve.toml"
    file.write_bytes(data)
    with pytest.raises(StartupError, match=rf"--config: {file}: {said}"):
        read_config(["--config", str(file)])
    with pytest.raises(StartupError, match=rf"--auth-file: {file}: {said}"):
        parse_callers(data, file)


@pytest.mark.parametrize("missing", ["nowhere.toml", "."])
def test_a_configuration_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, missing: str
) -> None:
    file = tmp_path / missing
    with pytest.raises(StartupError, match=rf"--config: {file}: (No such file|Is a directory)"):
        read_config(["--config", str(file)])


def test_a_configuration_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lstmserve.toml"
    file.write_bytes(codecs.BOM_UTF8 + b"max_running = 7\r\nmax_waiting = 8\r\n")
    engine = read_config(["--config", str(file)]).engine
    assert (engine.max_running, engine.max_waiting) == (7, 8)
    file.write_bytes(b"")
    assert read_config(["--config", str(file)]).engine.max_running == 64


def test_a_certificate_of_a_windows_editor_is_read_as_gRPC_takes_it(tmp_path: Path) -> None:  # noqa: N802
    folder = Authority().issue().write(tmp_path / "pair")
    config = config_of(folder)
    plain = read_files(config)
    for name in ("tls.crt", "tls.key"):
        file = folder / name
        file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))
    found = read_files(config)
    assert found.chain.replace(b"\r", b"") == plain.chain
    assert found.key.replace(b"\r", b"") == plain.key
    assert examine(config, found).names == examine(config, plain).names
    (folder / "tls.crt").write_bytes(plain.chain.decode().encode("utf-16"))
    with pytest.raises(StartupError, match=r"--tls-certificate: .*is UTF-16"):
        read_files(config)

"""Starting: one line says why a server cannot; the newest good version is what it serves."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import torch

from lstmserve.v1 import generation_service_pb2, generation_service_pb2_grpc, model_service_pb2_grpc
from lstmserve.v1 import model_service_pb2 as pb
from support.server_process import ServerProcess, command
from support.stores import accept_files, copy_version, edit_manifest, flip_byte

ANYWHERE = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")


def refuse_to_start(store: Path, *arguments: str) -> str:
    """What a server says that cannot start, after what it logs about models that it could load."""
    ended = subprocess.run(
        command("--model-store", str(store), *ANYWHERE, "--log-format", "json", *arguments),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    *log, line = ended.stderr.splitlines()
    assert all(json.loads(entry)["event"] == "loaded" for entry in log), ended.stderr
    assert line.startswith("lstmserve-server: ")
    return line


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """The folder of a good version in a store of its own, to be spoiled."""
    return copy_version(tiny_store / "tiny" / "1", tmp_path / "store")


def store_of(version: Path) -> Path:
    return version.parent.parent


class NoStep(torch.nn.Module):
    """Has none of a model's methods."""

    def forward(self) -> int:
        return 1


class BadStep(torch.nn.Module):
    """Has a model's methods, one of which fails."""

    def forward(self) -> int:
        return 1

    @torch.jit.export
    def initial_state(self, rows: int) -> torch.Tensor:
        return torch.zeros(rows, 2)

    @torch.jit.export
    def prefill(
        self, state: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        return state[: len(tokens) * len(lengths)]

    @torch.jit.export
    def step(self, state: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.matmul(state, state), state[: len(tokens)]  # [rows, 2] times [rows, 2]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def save_script(module: torch.nn.Module, path: Path) -> None:
    torch.jit.script(module).save(str(path))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Spoiled:
    """What is done to a good version, and what must be said about it."""

    spoil: Callable[[Path], object]
    said: tuple[str, ...]


SPOILED = {
    "no manifest": Spoiled(lambda v: (v / "manifest.json").unlink(), ("manifest.json",)),
    "unknown key": Spoiled(lambda v: edit_manifest(v, shoe_size=43), ("manifest.json", "shoe_siz")),
    "bad value": Spoiled(lambda v: edit_manifest(v, version="one"), ("manifest.json", "version")),
    "no JSON": Spoiled(lambda v: truncate(v / "manifest.json"), ("manifest.json", "JSON")),
    "other name": Spoiled(lambda v: edit_manifest(v, name="big"), ("tiny/1", "big version 1")),
    "other version": Spoiled(lambda v: edit_manifest(v, version=2), ("tiny/1", "tiny version 2")),
    "no model": Spoiled(lambda v: (v / "model.pt").unlink(), ("model.pt",)),
    "cut model": Spoiled(lambda v: truncate(v / "model.pt"), ("model.pt", "bytes")),
    "changed model": Spoiled(lambda v: flip_byte(v / "model.pt"), ("model.pt", "SHA-256")),
    "changed words": Spoiled(lambda v: flip_byte(v / "tokenizer.json"), ("tokenizer.", "SHA-256")),
    "no words": Spoiled(
        lambda v: ((v / "tokenizer.json").write_text("{}"), accept_files(v)), ("tokenizer.json",)
    ),
    "junk for a model": Spoiled(
        lambda v: ((v / "model.pt").write_bytes(b"junk"), accept_files(v)),
        ("model.pt", "not a servable model"),
    ),
    "pickle for a model": Spoiled(
        lambda v: (torch.save({"weights": 1}, v / "model.pt"), accept_files(v)),
        ("model.pt", "not a servable model"),
    ),
    "script without a step": Spoiled(
        lambda v: (save_script(NoStep(), v / "model.pt"), accept_files(v)),
        ("model.pt", "not a servable model", "NoStep", "'step'"),
    ),
    "script with a bad step": Spoiled(
        lambda v: (save_script(BadStep(), v / "model.pt"), accept_files(v)),
        ("model.pt", "not a servable model", "shapes cannot be multiplied"),
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_version_is_named_with_what_is_wrong(version: Path, case: str) -> None:
    SPOILED[case].spoil(version)
    line = refuse_to_start(store_of(version))
    assert all(part in line for part in SPOILED[case].said), line


def test_a_store_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    (empty / "tiny").mkdir(parents=True)
    for store in (missing, empty):
        line = refuse_to_start(store)
        assert "--model-store" in line
        assert str(store) in line


@pytest.mark.parametrize("flag", ["--listen", "--metrics-listen"])
def test_a_port_in_use_is_named_with_its_flag(tiny_store: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refuse_to_start(tiny_store, flag, address)
    assert f"{flag}: " in line
    assert address in line


def test_an_unknown_default_model_is_named_with_those_there_are(tiny_store: Path) -> None:
    line = refuse_to_start(tiny_store, "--default-model", "nobody")
    assert all(part in line for part in ("--default-model", "nobody", "tiny"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--max-running", "0"), "--max-running"), (("--bogus", "1"), "--bogus")],
)
def test_a_bad_option_is_named(tiny_store: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in refuse_to_start(tiny_store, *arguments)


def test_a_console_log_says_it_in_as_many_words(version: Path) -> None:
    flip_byte(version / "model.pt")
    line = refuse_to_start(store_of(version), "--log-format", "console")
    assert "SHA-256" in line


@pytest.fixture(scope="module")
def two_models(
    tiny_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server of versions 2 and 10 of ``tiny``, beside a spoiled one, and of ``another``."""
    good, store = tiny_store / "tiny" / "1", tmp_path_factory.mktemp("several")
    for number in (1, 2, 10):
        copy_version(good, store, "tiny", number)
    flip_byte(store / "tiny" / "1" / "model.pt")
    copy_version(good, store, "another", 3)
    (store / "README.md").write_text("no model")
    shutil.copy(store / "README.md", store / "tiny")
    (store / "tiny" / "11.part").mkdir()
    with ServerProcess(store, "--default-model", "tiny") as running:
        yield running


def test_the_newest_version_of_every_model_is_served(two_models: ServerProcess) -> None:
    with grpc.insecure_channel(two_models.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        cards = stub.ListModels(pb.ListModelsRequest()).models
    served = [(card.name, card.version, card.is_default) for card in cards]
    assert served == [("another", "3", False), ("tiny", "10", True)]


def test_the_default_model_answers_those_who_name_none(two_models: ServerProcess) -> None:
    request = generation_service_pb2.GenerateReplyRequest(prompt="hello")
    with grpc.insecure_channel(two_models.target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        unnamed = stub.GenerateReply(request).started
        request.model = "another"
        named = stub.GenerateReply(request).started
    assert (unnamed.model, unnamed.model_version) == ("tiny", "10")
    assert (named.model, named.model_version) == ("another", "3")


def test_a_healthy_server_logs_nothing_but_json(server: ServerProcess) -> None:
    entries = [json.loads(line) for line in server.read_log().splitlines()]
    assert entries[0]["event"] == "loaded"

"""Starting: one line says why a server cannot; the newest good version is what it serves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.process import read_line, run_program
from benchmarks.testbed.server import MODULE, ServerProcess, command
from benchmarks.testbed.waiting import until
from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.open_inference import inference_service_pb2_grpc as wire_grpc
from lstmserve.v1 import (
    cache_service_pb2,
    cache_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2_grpc,
)
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_bundle.store import VERSION_RULE, write_default
from support import dying_server
from support.calls import connect
from support.certificates import options_of
from support.metrics_page import MetricsPage
from support.misdeeds import misbehave
from support.stores import accept_files, copy_version, edit_manifest, flip_byte

LOGGED = {"loaded", "version"}
STAMP = 1_732_800_000  # of a time, as a version
ANYWHERE = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")


def refuse_to_start(store: Path, *arguments: str, program: Sequence[str] = MODULE) -> str:
    """What a server says that cannot start, after what it logs about models that it could load."""
    ended = run_program(
        command(
            *("--model-store", str(store), *ANYWHERE, *arguments),
            program=program,
        ),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        start=preloaded.start,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    *log, line = ended.stderr.splitlines()
    assert {json.loads(entry)["event"] for entry in log} <= LOGGED, ended.stderr
    assert line.startswith("lstmserve-server: ")
    return line


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """The folder of a good version in a store of its own, to be spoiled."""
    return copy_version(tiny_store / "tiny" / "1", tmp_path / "store")


def replace_by_junk(version: Path) -> None:
    (version / "model.pt").write_bytes(b"junk")
    accept_files(version)


# what is done to a good version, and what must be said about it; store/test_loader.py has more
SPOILED: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "unknown key": (lambda v: edit_manifest(v, shoe_size=43), ("manifest.json", "shoe_size")),
    "other name": (lambda v: edit_manifest(v, name="big"), ("tiny/1", "big version 1")),
    "no model": (lambda v: (v / "model.pt").unlink(), ("model.pt",)),
    "cut model": (lambda v: os.truncate(v / "model.pt", 1000), ("model.pt", "1000 bytes")),
    "changed model": (lambda v: flip_byte(v / "model.pt"), ("model.pt", "SHA-256")),
    "changed words": (lambda v: flip_byte(v / "tokenizer.json"), ("tokenizer.json", "SHA-256")),
    "no TorchScript": (replace_by_junk, ("model.pt", "not a servable model")),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_version_is_named_with_what_is_wrong(version: Path, case: str) -> None:
    spoil, said = SPOILED[case]
    spoil(version)
    line = refuse_to_start(version.parent.parent)
    assert all(part in line for part in said), line


def test_several_workers_that_cannot_start_say_it_once(version: Path) -> None:
    flip_byte(version / "model.pt")
    line = refuse_to_start(version.parent.parent, "--workers", "2")
    assert all(part in line for part in ("model.pt", "SHA-256")), line


def test_workers_that_die_before_the_server_was_ready_end_it(tiny_store: Path) -> None:
    line = refuse_to_start(tiny_store, "--workers", "2", program=(dying_server.__file__, "unborn"))
    assert "a worker ended: signal 9 (Killed) before it was ready" in line


@pytest.mark.parametrize("store", ["missing", "empty"])
def test_a_store_that_is_missing_or_empty_is_named(tmp_path: Path, store: str) -> None:
    (tmp_path / "empty" / "tiny").mkdir(parents=True)
    line = refuse_to_start(tmp_path / store)
    assert "--model-store" in line
    assert str(tmp_path / store) in line


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("flag", ["--listen", "--metrics-listen"])
def test_a_port_in_use_is_named_with_its_flag(tiny_store: Path, flag: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refuse_to_start(tiny_store, flag, address, "--workers", workers)
    assert f"{flag}: " in line
    assert address in line


@pytest.mark.parametrize("first", ["1", "2"])
def test_servers_of_one_and_of_several_workers_never_share_a_port(
    tiny_store: Path, first: str
) -> None:
    with ServerProcess(tiny_store, "--workers", first) as running:
        for second in ("1", "2"):
            line = refuse_to_start(tiny_store, "--listen", running.target, "--workers", second)
            assert f"--listen: cannot listen on {running.target}" in line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_public_address_in_clear_is_refused(tiny_store: Path, workers: str) -> None:
    line = refuse_to_start(tiny_store, "--listen", "0.0.0.0:0", "--workers", workers)
    assert "--listen: 0.0.0.0:0" in line
    assert "--insecure" in line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_certificate_that_is_missing_is_named(
    tiny_store: Path, tmp_path: Path, workers: str
) -> None:
    options = ("--workers", workers, *options_of(tmp_path))
    line = refuse_to_start(tiny_store, *options)
    assert f"--tls-certificate: {tmp_path / 'tls.crt'}: No such file" in line


def test_an_unknown_default_model_is_named_with_those_there_are(tiny_store: Path) -> None:
    line = refuse_to_start(tiny_store, "--default-model", "nobody")
    assert all(part in line for part in ("--default-model", "nobody", "tiny"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--max-running", "0"), "--max-running"), (("--bogus", "1"), "--bogus")],
)
def test_a_bad_option_is_named(tiny_store: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in refuse_to_start(tiny_store, *arguments)


@pytest.fixture(scope="module")
def two_models(
    tiny_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server of a version of ``tiny`` that is a time stamp, and of ``another``.

    Beside an older version, a spoiled one, and what is none.
    """
    good, store = tiny_store / "tiny" / "1", tmp_path_factory.mktemp("several")
    for number in (1, 2, STAMP):
        copy_version(good, store, "tiny", number)
    flip_byte(store / "tiny" / "1" / "model.pt")
    copy_version(good, store, "another", 3)
    (store / "README.md").write_text("no model")
    shutil.copy(store / "README.md", store / "tiny")
    for path in ("tiny/11.part", "tiny/03", ".thumbs/1", "archive/1", "lost+found/1"):
        (store / path).mkdir(parents=True)
    write_default(store, "tiny")
    with ServerProcess(store, "--cache-threshold", "1") as running:
        yield running


def test_the_newest_version_of_every_model_is_served(two_models: ServerProcess) -> None:
    with grpc.insecure_channel(two_models.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        cards = stub.ListModels(pb.ListModelsRequest()).models
    listed = [(card.name, card.version, card.state, card.is_default) for card in cards]
    assert listed == [
        ("another", "3", pb.MODEL_STATE_READY, False),
        ("tiny", str(STAMP), pb.MODEL_STATE_READY, True),
        ("tiny", "2", pb.MODEL_STATE_UNLOADED, False),
        ("tiny", "1", pb.MODEL_STATE_UNLOADED, False),
    ]


def test_a_spoiled_version_starts_no_server_but_an_older_good_one_does(version: Path) -> None:
    store = version.parent.parent
    flip_byte(copy_version(version, store, "tiny", 2) / "model.pt")
    with ServerProcess(store) as running, grpc.insecure_channel(running.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        newest, older = stub.ListModels(pb.ListModelsRequest()).models
    assert (newest.version, newest.state) == ("2", pb.MODEL_STATE_FAILED)
    assert "SHA-256" in newest.state_reason
    assert (older.version, older.state, older.is_default) == ("1", pb.MODEL_STATE_READY, True)


def test_a_version_that_crashes_starts_no_server_but_an_older_good_one_does(version: Path) -> None:
    misbehave(copy_version(version, version.parent.parent, "tiny", 2), "crash")
    with (
        ServerProcess(version.parent.parent) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        newest, older = stub.ListModels(pb.ListModelsRequest()).models
    assert (newest.version, newest.state) == ("2", pb.MODEL_STATE_FAILED)
    assert "signal 8" in newest.state_reason
    assert (older.version, older.state, older.is_default) == ("1", pb.MODEL_STATE_READY, True)


def test_the_default_model_answers_those_who_name_none(two_models: ServerProcess) -> None:
    request = generation_service_pb2.GenerateReplyRequest(prompt="hello")
    with grpc.insecure_channel(two_models.target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        unnamed = stub.GenerateReply(request).started
        request.model = "another"
        named = stub.GenerateReply(request).started
    assert (unnamed.model, unnamed.model_version) == ("tiny", str(STAMP))
    assert (named.model, named.model_version) == ("another", "3")


def test_what_is_no_version_is_named_once(two_models: ServerProcess) -> None:
    entries = two_models.read_entries()
    (warning,) = [entry for entry in entries if entry["level"] == "warning"]
    no_manifest = dict.fromkeys(("archive/1", "lost+found/1"), "it has no manifest.json")
    assert warning["folders"] == {**no_manifest, "tiny/03": VERSION_RULE}


def test_a_time_stamp_is_a_version_to_everybody(two_models: ServerProcess) -> None:
    version = str(STAMP)
    request = generation_service_pb2.GenerateReplyRequest(prompt="hello", model_version=version)
    request.sampling.seed = 1
    wanted = wire.ModelMetadataRequest(name="tiny", version=version)
    purge = cache_service_pb2.PurgeCacheRequest(model_version=version)
    with grpc.insecure_channel(two_models.target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        first, second = (stub.GenerateReply(request).completion.cache for _ in range(2))
        oip = wire_grpc.GRPCInferenceServiceStub(channel).ModelMetadata(wanted)
        cache = cache_service_pb2_grpc.CacheServiceStub(channel)
        purged = [cache.PurgeCache(purge).memory_entries for _ in range(2)]
    assert oip.versions == [version]
    assert first == generation_service_pb2.CACHE_OUTCOME_MISS
    assert second == generation_service_pb2.CACHE_OUTCOME_HIT
    assert purged[0] > purged[1] == 0
    counted = MetricsPage(two_models.metrics_url).counted("model_loads_total", "version")
    assert (version,) in counted


def test_a_healthy_server_logs_nothing_but_json(server: ServerProcess) -> None:
    until(server.read_log, "the server logs that it began")  # a moment later
    entries = server.read_entries()
    assert entries[0]["event"] == "loaded"


def test_where_json_is_asked_for_nothing_else_is_written(tiny_store: Path, tmp_path: Path) -> None:
    json_only = (*ANYWHERE, "--log-format", "json")
    with preloaded.start(
        command("--model-store", str(tiny_store), *json_only),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        entries = map(json.loads, server.stdout)
        ready = next(entry for entry in entries if entry["event"] == "ready")
        with connect(ready["listen"]) as channel:
            grpc.channel_ready_future(channel).result()
        server.terminate()
        assert all(entry["event"] for entry in entries)
    assert ready["models"] == [{"model": "tiny", "version": 1}]
    assert ready["metrics"].startswith("http://127.0.0.1:")
    ended = run_program(
        command("--model-store", str(tmp_path), *json_only),
        check=False, capture_output=True, text=True, start=preloaded.start,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    (entry,) = map(json.loads, ended.stderr.splitlines())
    assert entry["event"] == "cannot start"
    assert str(tmp_path) in entry["reason"]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_told_to_stop_while_it_starts_ends_in_order(
    tiny_store: Path, number: signal.Signals, workers: str
) -> None:
    """The signal comes with the first log line, when a model has loaded."""
    arguments = ("--model-store", str(tiny_store), "--log-format", "json", "--workers", workers)
    addresses = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
    with preloaded.start(
        command(*arguments, *addresses), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as server:
        assert server.stderr is not None
        assert "loaded" in read_line(server.stderr)
        server.send_signal(number)
        _, rest = server.communicate()
        assert server.returncode == 0
        assert b"Traceback" not in rest


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_output_that_cannot_be_written_is_told_in_one_line(option: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run_program(
            [sys.executable, *MODULE, option], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 2
    assert ended.stderr == (
        "lstmserve-server: the output cannot be written: No space left on device\n"
    )


def test_a_closed_terminal_ends_no_server_that_was_started_by_nohup() -> None:
    code = (
        "import os, signal; from lstmserve_server.startup import end_on_signals; end_on_signals(); "
        "os.kill(os.getpid(), signal.SIGHUP); print('it runs on')"
    )
    program = ["env", "--ignore-signal=HUP", sys.executable, "-c", code]
    ended = run_program(program, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "it runs on\n", "")


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_signals_that_whoever_starts_a_server_has_blocked_end_it_all_the_same(name: str) -> None:
    code = (
        "import os, signal; from lstmserve_server.startup import end_on_signals; end_on_signals(); "
        f"os.kill(os.getpid(), signal.SIG{name}); print('it runs on')"
    )
    program = ["env", f"--block-signal={name}", sys.executable, "-c", code]
    ended = run_program(program, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_version_that_never_ends_keeps_no_server_from_stopping(version: Path) -> None:
    misbehave(copy_version(version, version.parent.parent, "tiny", 2), "hang")
    arguments = ("--model-store", str(version.parent.parent), "--log-level", "DEBUG")
    with preloaded.start(
        command(*arguments, *ANYWHERE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as server:
        assert server.stderr is not None
        while "loading" not in (line := read_line(server.stderr)):
            assert line, "it ended"
        server.send_signal(signal.SIGTERM)
        _, rest = server.communicate()
        assert server.returncode == 0
        assert b"Traceback" not in rest


@pytest.mark.parametrize("workers", ["1", "2"])
def test_files_that_never_answer_keep_no_server_from_stopping(
    tiny_store: Path, tmp_path: Path, workers: str
) -> None:
    """A pipe stands for a mount that is gone: who reads it waits for somebody to write."""
    pipe = tmp_path / "tls.crt"
    os.mkfifo(pipe)
    arguments = ("--model-store", str(tiny_store), "--workers", workers, *options_of(tmp_path))
    with preloaded.start(
        command(*arguments, *ANYWHERE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        with open(pipe, "wb"):  # noqa: PTH123 - waits until the server reads
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate()
        assert (server.returncode, said) == (0, "")

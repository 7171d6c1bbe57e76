"""The examples in other languages do what they say, and name nothing that the wire lacks."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import Parse

from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.openai_api import serve_api

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
GO_PACKAGE = "lstmserve.example/stream"
DEBIAN_GO = "/usr/share/gocode"
# what all three ask for
REQUEST = pb.GenerateRequest(
    prompt="hello",
    sampling=pb.SamplingParams(temperature=0.8, seed=7),
    stopping=pb.StoppingCriteria(max_tokens=64),
)


def run(
    *command: str | Path, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run_program(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go example, compiled with the libraries that Debian has."""
    folder = tmp_path_factory.mktemp("go")
    source = folder / "src" / GO_PACKAGE
    source.mkdir(parents=True)
    (source / "main.go").write_text((EXAMPLES / "go/main.go").read_text())
    protoc = shlex.join([sys.executable, "-m", "grpc_tools.protoc"])
    made = run(EXAMPLES / "go/generate.sh", source, PROTOC=protoc)
    assert made.returncode == 0, made.stderr
    settings = {
        "GO111MODULE": "off",
        "GOPATH": f"{folder}:{DEBIAN_GO}",
        "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }
    built = run("go", "build", "-o", folder / "stream", GO_PACKAGE, **settings)
    assert built.returncode == 0, built.stderr
    return folder / "stream"


@pytest.fixture(
    params=["python", *(pytest.param(name, marks=pytest.mark.system) for name in ("node", "go"))]
)
def example(request: pytest.FixtureRequest) -> list[str]:
    """The command of one example."""
    match request.param:
        case "python":
            return [sys.executable, str(EXAMPLES / "python/stream.py")]
        case "node":
            return ["node", str(EXAMPLES / "node/stream.js")]
        case _:
            return [str(request.getfixturevalue("go_program"))]


def test_an_example_streams_the_reply(example: list[str], server: ServerProcess) -> None:
    with grpc.insecure_channel(server.target) as channel:
        events = list(GenerationServiceStub(channel).Generate(REQUEST))
    told = run(*example, server.target, REQUEST.prompt, LSTMSERVE_TOKEN="secret")
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip("\n") == "".join(event.chunk.text for event in events).strip("\n")
    assert "tiny 1, seed 7" in told.stderr
    completion = events[-1].completion
    reason = pb.FinishReason.Name(completion.finish_reason)
    assert f"{reason}, {completion.usage.generated_tokens} tokens" in told.stderr


def test_an_example_tells_what_went_wrong(example: list[str], tiny_store: Path) -> None:
    with ServerProcess(tiny_store) as server:
        told = run(*example, server.target, " ")
        server.stop()  # then its log is whole
        log = server.read_log()
    assert told.returncode == 1
    code = r"^(INVALID_ARGUMENT|InvalidArgument): prompt: must not be empty"
    assert re.search(code, told.stderr, re.MULTILINE)
    (request_id,) = re.findall(r"^request id (\S+)$", told.stderr, re.MULTILINE)
    assert f'"request_id":"{request_id}"' in log


def test_an_example_ends_where_nobody_answers(example: list[str]) -> None:
    told = run(*example, "127.0.0.1:1", "hello")
    assert told.returncode == 1
    assert re.search(r"^(UNAVAILABLE|Unavailable)", told.stderr, re.MULTILINE)


def test_the_request_of_grpcurl_is_one() -> None:
    text = (EXAMPLES / "grpcurl.sh").read_text()
    (body,) = re.findall(r"-d '(.*)'", text)
    (service, method) = re.findall(r" (lstmserve\.v1\.\w+)/(\w+)$", text, re.MULTILINE)[0]
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    request = Parse(body, message_factory.GetMessageClass(found.input_type)())  # by every name
    assert request.prompt


def names_in_node_example() -> Iterator[str]:
    """The names it takes from messages, and those it puts into one."""
    text = (EXAMPLES / "node/stream.js").read_text()
    yield from re.findall(r"\bevent\.(?:started|chunk|completion)\.(\w+)", text)
    yield from re.findall(r"\busage\.(\w+)", text)
    for names in re.findall(r"const \{ ([\w, ]+) \} = event\.", text):
        yield from names.split(", ")
    (request,) = re.findall(r"const request = \{(.*?)\n  \};", text, re.DOTALL)
    yield from re.findall(r"\b(\w+)(?=[:,])", re.sub(r"'.*?'", "", request))


def test_every_name_in_the_example_for_node_is_a_field() -> None:
    """A name that is none would be read as undefined, and sent as nothing."""
    fields = {f.name for m in pb.DESCRIPTOR.message_types_by_name.values() for f in m.fields}
    names = {name for name in names_in_node_example() if not name.isdigit()}
    assert names >= {"prompt", "temperature", "seed", "max_tokens", "generated_tokens", "text"}
    assert names <= fields


def test_the_examples_of_interoperability_run(tiny_store: Path) -> None:
    text = (EXAMPLES.parent / "interoperability.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    with serve_api(tiny_store) as api:
        program = "print()\n".join(blocks).replace("127.0.0.1:50051", api.served.process.target)
        program = program.replace("http://127.0.0.1:8000/v1", api.url)
        told = run(sys.executable, "-c", program.replace("support-en", "tiny"))
        assert told.returncode == 0, told.stderr
        *_, streamed, chat = told.stdout.splitlines()
        asked = pb.GenerateReplyRequest(
            prompt="where is my refund?", sampling=pb.SamplingParams(seed=7)
        )
        expected = [api.served.generation.GenerateReply(asked).text]
        asked.sampling.top_k = 40
        expected.append(api.served.generation.GenerateReply(asked).text)
    assert [streamed, chat] == expected
    assert all(expected)

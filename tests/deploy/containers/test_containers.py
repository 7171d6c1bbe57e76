"""docker-compose.yml for real: what containers may, who reaches whom, and that whatever operators
do to servers, callers get every reply, the same as ever.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence

import grpc
import pytest

from benchmarks.endurance.replies import Question, bits_of, learn
from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.cache_service_pb2 import PurgeCacheRequest
from lstmserve.v1.cache_service_pb2_grpc import CacheServiceStub
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_client import CacheMode, Client, GenerateOptions, SamplingParams
from support.callers import bearer
from support.calls import connect
from support.compose import read_compose
from support.docker_engine import TARGET, Docker, count_retries, query, wait_for_servers
from support.replica_callers import ThreadedCallers
from support.steady_load import SteadyLoad
from support.stores import edit_manifest
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary

pytestmark = pytest.mark.timeout(900)  # the first builds the image, on a machine as busy as any
SERVICES = read_compose()["services"]
CALLERS = 8
PURGE = ("cache", "purge", "--yes")
# in control groups of either version
LIMITS = """cd /sys/fs/cgroup
cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes
cat pids.max 2>/dev/null || cat pids/pids.max
cat cpu.max 2>/dev/null || echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us)
"""
# generated anew each time
REQUESTS = [
    pb.GenerateRequest(
        prompt="I want to cancel my order",
        sampling=pb.SamplingParams(seed=seed, temperature=0.9, logprobs=1),
        cache_mode=pb.CACHE_MODE_BYPASS,
    )
    for seed in range(8)
]


@pytest.fixture(scope="module")
def docker(request: pytest.FixtureRequest) -> Iterator[Docker]:
    """The whole stack, built and started by the one command, and taken down."""
    docker = Docker()
    try:
        docker.compose("up", "--build", "--detach", "--wait")
        yield docker
    finally:
        if request.session.testsfailed:
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():
                sys.stderr.write(docker.compose("logs", "--timestamps", "--tail", "40", "proxy"))
    docker.compose("down")
    assert not docker("ps", "--all", "--quiet")


@pytest.fixture(scope="module")
def expected(docker: Docker) -> list[tuple[pb.GenerateRequest, WholeReply]]:
    """Requests, and what is answered while nothing happens."""
    with connect(TARGET) as channel:
        stub = GenerationServiceStub(channel)
        return [(each, whole_of(stub.Generate(each))) for each in REQUESTS]


@pytest.fixture(scope="module")
def questions(docker: Docker) -> Sequence[Question]:
    """The same for callers who try again, by the client library."""
    options = [
        GenerateOptions(
            sampling=SamplingParams(seed=seed, temperature=0.9), cache_mode=CacheMode.BYPASS
        )
        for seed in range(8)
    ]
    return learn(TARGET, [("where is my refund?", each) for each in options])


def test_every_container_is_healthy(docker: Docker) -> None:
    lines = docker.compose("ps", "--format", "{{.Service}} {{.Health}}").splitlines()
    assert {*lines} == {f"{name} healthy" for name in SERVICES}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_writes_nothing_may_nothing_and_has_its_limits(
    docker: Docker, name: str
) -> None:
    status = dict(
        line.split(":\t", 1) for line in docker.inside(name, "cat /proc/1/status").splitlines()
    )
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert {*status["Uid"].split()} == {SERVICES[name]["user"].partition(":")[0]}
    assert "Read-only file system" in docker.inside(name, "touch /file 2>&1 || true")
    memory, pids, quota, period = map(int, docker.inside(name, LIMITS).split())
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert (memory, pids) == (int(limits["memory"]), limits["pids"])
    assert quota / period == limits["cpus"]


def test_a_question_and_a_stream_through_the_proxy_have_one_answer(docker: Docker) -> None:
    with connect(TARGET) as channel:
        stub = GenerationServiceStub(channel)
        streamed = whole_of(stub.Generate(REQUESTS[0]))
        assert whole_of_unary(stub.GenerateReply(to_unary(REQUESTS[0]))) == streamed
    assert streamed.text


@pytest.mark.parametrize("name", ["redis", "prometheus", "proxy"])
def test_who_shares_a_network_with_servers_may_not_administer_them(
    docker: Docker, name: str
) -> None:
    code, said = docker.beside(name, *PURGE, "--target", "server:50051")
    assert code == 1
    assert "needs the scope 'admin'" in said


@pytest.mark.parametrize("way", ["grafana server", "grafana proxy", "redis proxy"])
def test_who_shares_none_does_not_reach_them(docker: Docker, way: str) -> None:
    name, host = way.split()
    code, said = docker.beside(name, *PURGE, "--timeout", "3", "--target", f"{host}:50051")
    assert code == 1
    assert "scope" not in said


def test_administrators_have_a_token_as_long_as_the_file_says(docker: Docker) -> None:
    assert purge() == "PERMISSION_DENIED"
    file = docker.checkout / "docker/callers/callers.toml"
    before = file.read_text()
    make = ("exec", "-T", "server", "lstmserve-server", "token", "ops", "--scope", "admin")
    _, lines, said = docker.run("compose", *make)
    (token,) = re.findall(r"^lst_\S+$", said, re.MULTILINE)
    try:
        file.write_text(before + lines)
        until(lambda: purge(*bearer(token)) == "OK", "the new token is known")
    finally:
        file.write_text(before)
    until(lambda: purge(*bearer(token)) == "UNAUTHENTICATED", "the old token is forgotten")


def purge(*metadata: tuple[str, str]) -> str:
    with connect(TARGET) as channel:
        call = CacheServiceStub(channel).PurgeCache
        try:
            call(PurgeCacheRequest(), metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]  # it is a Call too
    return "OK"


def test_prometheus_reads_the_servers_and_the_proxy(docker: Docker) -> None:
    count = len(docker.servers())
    until(lambda: query('sum(up{job="lstmserve"})') == [count], "Prometheus scrapes every server")
    until(lambda: query('sum(up{job="proxy"})') == [1], "Prometheus scrapes the proxy")


def test_all_that_servers_write_is_json(docker: Docker) -> None:
    with Client(TARGET) as client:
        assert client.reply("where is my refund?").text
    outputs = [docker.run("logs", each)[1:] for each in docker.servers()]
    lines = [line for pair in outputs for output in pair for line in output.splitlines()]
    assert {"loaded", "ready", "rpc"} <= {json.loads(line)["event"] for line in lines}


def test_servers_that_are_killed_stopped_and_started_are_missed_by_nobody(
    docker: Docker, questions: Sequence[Question]
) -> None:
    docker.scale(3)
    killed, stopped, _ = docker.servers()
    callers = ThreadedCallers([TARGET], questions, count=CALLERS)
    with callers.asking():
        docker("kill", killed)
        callers.wait_for_everyone()
        docker("stop", "-t", "40", stopped)
        callers.wait_for_everyone()
        docker("start", killed, stopped)
        wait_for_servers(3)
    code = docker("inspect", "--format", "{{.State.ExitCode}}", stopped)
    assert code.strip() == "0"


def test_a_server_whose_machine_vanishes_is_missed_by_nobody(
    docker: Docker, questions: Sequence[Question]
) -> None:
    """Nothing refuses or resets: packets are lost, as when the power fails."""
    docker.scale(3)
    gone, *_ = docker.servers()
    networks = [each for each in docker.networks(gone) if each.endswith(("back", "scrapes"))]
    callers = ThreadedCallers([TARGET], questions, count=CALLERS)
    with callers.asking():
        for network in networks:
            docker("network", "disconnect", network, gone)
        callers.wait_for_everyone()
        for network in networks:
            docker("network", "connect", "--alias", "server", network, gone)
        wait_for_servers(3)


async def test_an_upgrade_and_its_rollback_lose_no_call(
    docker: Docker, expected: list[tuple[pb.GenerateRequest, WholeReply]]
) -> None:
    """Of callers who try nothing again."""
    docker.scale(2)
    file, old = docker.checkout / "docker-compose.yml", docker.image()
    before = file.read_text()
    async with SteadyLoad(TARGET, expected, callers=CALLERS) as load:
        for text in (before.replace(f"image: {old}", f"image: {old}-next"), before):
            file.write_text(text)
            await asyncio.to_thread(replace_servers, docker)
            await load.replies(CALLERS)


def replace_servers(docker: Docker) -> None:
    """Replace them as docs/deploying.md says under Upgrading the servers."""
    old, retries = docker.servers(), count_retries()
    docker.compose("build", "server")
    docker.compose(
        *("up", "--detach", "--wait", "--no-recreate", "--scale", f"server={2 * len(old)}")
    )
    assert count_retries() == retries  # whoever joins has no call before it listens
    docker("stop", "-t", "40", *old)
    docker("rm", *old)
    wait_for_servers(len(old))
    images = docker("inspect", "--format", "{{.Config.Image}}", *docker.servers()).split()
    assert images == [docker.image()] * len(old)


def test_a_version_that_is_moved_into_the_store_is_served(
    docker: Docker, questions: Sequence[Question]
) -> None:
    question = questions[0]
    versions = (docker.checkout / "model_store/support-en").glob("[0-9]*")
    newest = max(versions, key=lambda folder: int(folder.name))
    number = int(newest.name)

    def answers_by(version: int) -> bool:
        with Client(TARGET) as client:
            reply = bits_of(client.reply(question.prompt, **question.options))
        assert reply.text == question.expected.text
        return reply.started.model_version == str(version)

    part = shutil.copytree(newest, newest.with_name(f"{number + 1}.part"))
    edit_manifest(part, version=number + 1)
    published = part.rename(part.with_suffix(""))
    try:
        until(lambda: answers_by(number + 1), "the new version answers")
    finally:
        shutil.rmtree(published)
    until(lambda: answers_by(number), "the old version answers")

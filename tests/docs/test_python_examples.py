"""The examples in Python that use the client run against a server, and against one that hangs."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import pyarrow as pa
import pytest
import uvicorn
from pyarrow import parquet
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close
from websockets.sync.client import connect

from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess
from lstmserve_client import AsyncClient, Client
from lstmserve_client.testing import FakeService
from support.fake_server import FakeServer, serve_fake
from support.understanding import LABELS, PRAISE, QUESTION, UNSURE, make_understanding_store

EXAMPLES = Path(__file__).parents[2] / "docs/examples/python"
WAIT_SECONDS = 30
TRACK, HELLO, _ = LABELS
MANY = 40  # questions with their answers, of which the model reads some six together


@pytest.fixture(scope="module")
def target(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose version has a classifier, and answers of its own."""
    store = make_understanding_store(tiny_store / "tiny" / "1", tmp_path_factory.mktemp("store"))
    with ServerProcess(store) as server:
        yield server.target


def run(name: str, *arguments: str | Path, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLES / name, *arguments]
    return run_program(command, input=lines, capture_output=True, text=True, check=False)


def load(name: str) -> ModuleType:
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


@contextmanager
def serve_app(target: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The web back end before a server; who connects early waits for it."""
    monkeypatch.setenv("LSTMSERVE_TARGET", target)
    serving = uvicorn.Server(uvicorn.Config(load("app").app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.should_exit = True
            thread.join()


def read_events(body: str) -> list[tuple[str, object]]:
    found = []
    for block in body.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_the_back_end_streams_events_and_passes_the_request_id_on(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_app(target, monkeypatch) as address:
        url = f"http://{address}/reply"
        answer = httpx.get(url, params={"question": "praise"}, headers={"x-request-id": "mine"})
        empty = httpx.get(url, params={"question": " "})
        bad = httpx.get(url, params={"question": "hi"}, headers={"x-request-id": "not mine"})
    *texts, end = read_events(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"] == "mine"
    assert "".join(str(data) for _, data in texts) == "A person will call you."
    assert {name for name, _ in texts} == {"text"}
    assert end == ("end", "handover")
    assert (empty.status_code, bad.status_code) == (422, 422)
    assert empty.json()["error"].startswith("prompt: ")
    assert empty.headers["x-request-id"]


def test_the_back_end_talks_over_a_websocket(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_app(target, monkeypatch) as address, connect(f"ws://{address}/chat") as socket_:
        for question, last in (("praise", {"end": "handover"}), (" ", None)):
            socket_.send(question)
            said = [json.loads(socket_.recv())]
            while not said[-1].keys() & {"end", "error"}:
                said.append(json.loads(socket_.recv()))
            if last:
                assert said[-1].pop("request_id")
                assert said[-1] == last
                assert "".join(each["text"] for each in said[:-1]) == "A person will call you."
            else:
                assert said[-1]["error"].startswith("conversation.turns[2].text: ")


def test_the_back_end_talks_on_for_ever(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_app(target, monkeypatch) as address, connect(f"ws://{address}/chat") as socket_:
        for _ in range(MANY):
            socket_.send(QUESTION)
            said = [json.loads(socket_.recv())]
            while not said[-1].keys() & {"end", "error"}:
                said.append(json.loads(socket_.recv()))
            assert said[-1].get("end") == "answered", said


def test_feedback_is_logged_by_the_request_id(
    target: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"request_id": "mine", "is_helpful": False, "comment": "It is\nnot here."}
    with serve_app(target, monkeypatch) as address:
        url = f"http://{address}/feedback"
        answers = [
            httpx.post(url, json=each).status_code
            for each in (good, {**good, "request_id": "not mine"}, {**good, "comment": "x" * 2001})
        ]
    assert answers == [204, 422, 422]
    [line] = [each.getMessage() for each in caplog.records if each.name == "feedback"]
    assert json.loads(line) == good
    assert "\n" not in line


@pytest.fixture
def endless() -> Iterator[FakeServer]:
    """A server whose reply never ends."""
    with serve_fake() as fake:
        fake.events.pop()
        fake.hangs = True
        yield fake


def test_when_the_browser_goes_the_generation_is_canceled(
    endless: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_app(endless.target, monkeypatch) as address:
        params = {"question": "hi"}
        with httpx.stream("GET", f"http://{address}/reply", params=params) as answer:
            assert next(answer.iter_lines()) == "event: text"
        assert endless.cancelled.wait(WAIT_SECONDS)
        endless.cancelled.clear()
        with connect(f"ws://{address}/chat") as socket_:
            socket_.send("hi")
            assert json.loads(socket_.recv()).keys() == {"text"}
        assert endless.cancelled.wait(WAIT_SECONDS)


def test_bytes_end_the_conversation_and_its_reply(
    endless: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serve_app(endless.target, monkeypatch) as address,
        connect(f"ws://{address}/chat") as socket_,
    ):
        socket_.send("hi")
        socket_.recv()
        socket_.send(b"hi")
        with pytest.raises(ConnectionClosedError) as raised:
            list(socket_)
        assert endless.cancelled.wait(WAIT_SECONDS)
    assert raised.value.rcvd == Close(1003, "send text")
    assert [each.exc_info for each in caplog.records if each.exc_info] == []


async def test_a_reply_is_canceled_whatever_ends_its_conversation(endless: FakeServer) -> None:
    app = load("app")
    async with AsyncClient(endless.target) as client:
        with pytest.raises(RuntimeError, match=r"^a bug$"):
            await app.chat(BrokenSocket(client))
        assert await asyncio.to_thread(endless.cancelled.wait, WAIT_SECONDS)


class BrokenSocket:
    """A websocket that brings one text, and fails once its reply runs."""

    def __init__(self, client: AsyncClient) -> None:
        self.app = SimpleNamespace(state=SimpleNamespace(client=client))
        self._runs = asyncio.Event()
        self._has_asked = False

    async def accept(self) -> None: ...

    async def receive(self) -> dict[str, str]:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "websocket.receive", "text": "hi"}
        await self._runs.wait()
        raise RuntimeError("a bug")

    async def send_json(self, data: object) -> None:
        self._runs.set()


def test_a_further_text_ends_the_reply_before(
    endless: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serve_app(endless.target, monkeypatch) as address,
        connect(f"ws://{address}/chat") as socket_,
    ):
        socket_.send("hi")
        socket_.recv()
        socket_.send("no, wait")
        assert endless.cancelled.wait(WAIT_SECONDS)
        while len(endless.requests) == 1:
            assert json.loads(socket_.recv()).keys() == {"text"}  # of the first, or the second
        texts = [[turn.text for turn in each.conversation.turns] for each in endless.requests]
        assert texts == [["hi"], ["no, wait"]]


def test_the_bot_hands_over_and_is_silent_until_it_is_given_back(target: str) -> None:
    lines = ["a praise", "a are you there?", "b cancel", "a /bot", "a praise"]
    told = run("bot.py", target, lines="\n".join(lines))
    assert told.returncode == 0, told.stderr
    said = [line for line in told.stdout.splitlines() if line.startswith(("#a", "@support #a"))]
    handed_over = ["#a A person will call you.", f"@support #a: praise ({PRAISE})"]
    assert said[:2] == handed_over
    assert len(said) == 3  # nothing to the second line, and something to the last one
    assert "  agent: A person will call you." in told.stdout
    assert "\n#b " in told.stdout


def test_the_bot_hands_over_what_it_does_not_understand_twice(target: str) -> None:
    bot = load("bot")
    said: list[str] = []
    paged: list[str] = []
    with Client(target) as client:
        talking = bot.Bot(
            client, lambda _, text: said.append(text), lambda _, text: paged.append(text)
        )
        talking.channels["a"] = bot.Channel(client.conversation(min_confidence=1.0))
        talking.on_message("a", "cancel")
        assert paged == []
        talking.on_message("a", "cancel")
    assert len(said) == 2
    assert all(text.startswith(UNSURE.partition("?")[0].partition("{")[0]) for text in said)
    assert paged[0].startswith(f"cancel ({TRACK})\n  user: cancel\n  agent: ")


def test_the_bot_talks_on_for_ever(target: str) -> None:
    told = run("bot.py", target, lines=f"a {QUESTION}\n" * MANY)
    assert [line.partition(" ")[0] for line in told.stdout.splitlines()] == ["#a"] * MANY


def test_the_bot_forgets_the_channels_that_were_silent_for_the_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bot = load("bot")
    monkeypatch.setattr(bot, "MAX_CHANNELS", 2)
    talking = bot.Bot(FakeService().client(), lambda *_: None, lambda *_: None)
    for name in ("a", "b", "a", "c"):
        talking.on_message(name, "hi")
    assert list(talking.channels) == ["a", "c"]
    assert len(talking.channels["a"].conversation.turns) == 4


def test_the_bot_hands_over_when_there_is_no_reply() -> None:
    told = run("bot.py", "127.0.0.1:1", lines="a hi\na hello?\n")
    first, second = told.stdout.splitlines()
    assert first == "#a I cannot answer just now; a colleague will."
    assert second.startswith("@support #a: hi (no server answers at")


def test_the_batch_answers_every_row(target: str, tmp_path: Path) -> None:
    source, made = tmp_path / "in.csv", tmp_path / "out.csv"
    questions = ["praise", " ", "refund", 'a "quoted", one']
    with source.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ("id", "question"))
        writer.writeheader()
        writer.writerows({"id": number, "question": text} for number, text in enumerate(questions))
    told = run("batch.py", target, source, made)
    assert (told.returncode, told.stderr) == (1, "")
    with made.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["question"] for row in rows] == questions
    assert (rows[0]["reply"], rows[0]["label"]) == ("A person will call you.", PRAISE)
    assert rows[0]["outcome"] == "handover"
    assert rows[1]["error"].startswith("prompt: ")
    assert rows[2]["label"] == HELLO
    assert [bool(row["reply"]) for row in rows] == [True, False, True, True]


@pytest.mark.parametrize(
    ("text", "wrong"), [("id,text\n1,hi\n", "it has: id, text\n"), ("", "it is empty\n")]
)
def test_the_batch_says_which_column_is_missing(tmp_path: Path, text: str, wrong: str) -> None:
    source, made = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text)
    made.write_text("of an earlier batch")
    told = run("batch.py", "127.0.0.1:1", source, made)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == f"{source}: has no column 'question'; {wrong}"
    assert made.read_text() == "of an earlier batch"


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_the_batch_shows_a_terminal_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_tqdm: bool
) -> None:
    batch = load("batch")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = SimpleNamespace(tqdm=lambda items, unit: [unit, *items])
    monkeypatch.setitem(sys.modules, "tqdm", bar if has_tqdm else None)
    shown = list(batch.shown(["a", "b"]))
    assert shown == ([" rows", "a", "b"] if has_tqdm else ["a", "b"])
    assert capsys.readouterr().err == ("" if has_tqdm else "\r1 rows\r2 rows\n")


QUESTIONS = [f"refund {number}" for number in range(10)]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Two files, with a row that no model answers."""
    folder = tmp_path / "questions"
    folder.mkdir()
    parquet.write_table(pa.table({"question": QUESTIONS}), folder / "a.parquet")
    parquet.write_table(pa.table({"question": ["praise", " "]}), folder / "b.parquet")
    return folder


def test_the_job_answers_every_row_and_goes_on_where_it_was_stopped(
    target: str, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_PART_ROWS", "4")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    told = run("job.py", target, questions, whole)
    assert (told.returncode, told.stderr) == (0, "")
    parts = sorted(whole.glob("*.parquet"))
    assert len(parts) == 4  # of 4, 4 and 2 rows, and of the other file's 2
    rows = parquet.read_table(parts).to_pylist()
    assert [row["question"] for row in rows] == [*QUESTIONS, "praise", " "]
    assert rows[-2]["reply"] == "A person will call you."
    assert [row["error"] is None for row in rows] == [True] * 11 + [False]
    shutil.copytree(whole, stopped)
    for part in parts[1:3]:
        (stopped / part.name).unlink()
    (stopped / parts[1].name).with_suffix(".part").write_text("half of it")
    told = run("job.py", target, questions, stopped)
    assert len(told.stdout.splitlines()) == 2
    for part in parts:
        assert (stopped / part.name).read_bytes() == part.read_bytes()


def test_the_job_goes_on_wherever_its_files_lie(
    target: str, questions: Path, tmp_path: Path
) -> None:
    answers = tmp_path / "answers"
    assert run("job.py", target, questions, answers).returncode == 0
    (answers / "part-00001.parquet").unlink()
    told = run("job.py", target, questions.rename(tmp_path / "elsewhere"), answers)
    assert (told.returncode, len(told.stdout.splitlines())) == (0, 1)


def test_the_job_does_not_go_on_with_anything_else(
    target: str, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = tmp_path / "answers"
    assert run("job.py", target, questions, answers).returncode == 0
    parts = {path.name: path.read_bytes() for path in answers.iterdir()}
    parquet.write_table(pa.table({"question": ["hi"], "text": ["hi"]}), questions / "a.parquet")
    (questions / "b.parquet").rename(questions / "c.parquet")
    monkeypatch.setenv("JOB_PART_ROWS", "3")
    told = run("job.py", target, questions, answers)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        f"{answers / 'job.json'}: the job was begun with something else: part_rows was 5000, and "
        "is 3; the file a.parquet has changed; the file b.parquet is gone; the file c.parquet is "
        "new. Give another folder for the answers, or begin as before\n"
    )
    told = run("job.py", target, questions / "a.parquet", answers, "text")
    assert told.returncode == 2
    assert "column was 'question', and is 'text'; " in told.stderr
    assert {path.name: path.read_bytes() for path in answers.iterdir()} == parts


def test_the_job_does_not_go_on_where_it_is_not_known_what_was_begun(
    target: str, questions: Path, tmp_path: Path
) -> None:
    (tmp_path / "job.json").write_text('{"model": "tiny", "model_version": "1", "seed": 7}')
    told = run("job.py", target, questions, tmp_path)
    assert told.returncode == 2
    assert "column was None, and is 'question'" in told.stderr


@pytest.mark.parametrize(
    ("name", "column", "wrong"),
    [
        ("", "text", "questions/a.parquet: has no column 'text'; it has: question\n"),
        ("empty", "question", "empty: has no file *.parquet\n"),
        ("numbers.parquet", "id", "numbers.parquet: the column 'id' holds int64, not text\n"),
        ("text.parquet", "question", "text.parquet: is no Parquet file that can be read: "),
        ("none.parquet", "question", "none.parquet: is no Parquet file that can be read: "),
    ],
)
def test_the_job_says_what_is_wrong_with_its_source(
    questions: Path, tmp_path: Path, name: str, column: str, wrong: str
) -> None:
    (tmp_path / "empty").mkdir()
    parquet.write_table(pa.table({"id": [1]}), tmp_path / "numbers.parquet")
    (tmp_path / "text.parquet").write_text("question\n")
    source = tmp_path / name if name else questions
    told = run("job.py", "127.0.0.1:1", source, tmp_path / "answers", column)
    assert told.returncode == 2
    assert told.stderr.startswith(f"{tmp_path}/{wrong}")
    assert not (tmp_path / "answers").exists()


def test_the_job_leaves_no_part_that_it_could_not_finish(questions: Path, tmp_path: Path) -> None:
    told = run("job.py", find_free_address(), questions, tmp_path / "answers")
    assert told.returncode == 1
    assert told.stderr.startswith("stopped, and goes on when it is started again: ")
    assert not list((tmp_path / "answers").glob("part*"))


def test_the_chat_goes_on_after_an_error(target: str) -> None:
    told = run("chat.py", target, lines="praise\n\npraise\n")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("A person will call you.\n\n[conversation.turns[2].text: ")
    assert told.stdout.partition("]\n")[2].endswith("\n")  # of the last one's reply


def test_the_chat_goes_on_for_ever(target: str) -> None:
    told = run("chat.py", target, lines=f"{QUESTION}\n" * MANY)
    assert "[conversation" not in told.stdout
    assert len(told.stdout.splitlines()) == MANY

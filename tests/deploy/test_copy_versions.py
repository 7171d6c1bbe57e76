"""What copies models from object storage, by a shell and rclone; a folder is the bucket."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program, spawn
from benchmarks.testbed.waiting import until
from lstmserve_bundle.store import look_into, read_default
from support.chart import CHART

pytestmark = pytest.mark.system

SCRIPT = str(CHART / "files/copy-versions")


@pytest.fixture(params=["dash", "busybox sh"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """The strictest of Debian's, and that of rclone's image."""
    return str(request.param).split()


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def publish(bucket: Path, version: str, manifest: str = "manifest.json") -> None:
    folder = bucket / version
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"weights")
    (folder / manifest).write_text("{}")


Copy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(shell: list[str], bucket: Path, store: Path) -> Copy:
    return partial(copy_once, [*shell, SCRIPT, str(bucket), str(store)], store.parent)


def copy_once(
    command: list[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run_program(
        command,
        env={
            "PATH": "/usr/bin:/bin",
            "RCLONE_CONFIG": str(folder / "none.conf"),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_versions_come_whole_and_once(copy: Copy, bucket: Path, store: Path) -> None:
    publish(bucket, "support-en/3")
    publish(bucket, "support-en/4", manifest="not-yet.json")  # still being uploaded
    (store / "support-en/3.part").mkdir(parents=True)  # of a copy that was killed
    (store / "support-en/3.part/rest").touch()
    done = copy()
    assert (done.returncode, done.stdout) == (0, "copied support-en/3\n")
    names = {path.relative_to(store).as_posix() for path in store.rglob("*")}
    assert names == {
        "support-en",
        "support-en/3",
        "support-en/3/manifest.json",
        "support-en/3/model.pt",
    }
    again = copy()
    assert (again.returncode, again.stdout) == (0, "")


def test_what_is_taken_away_there_goes_here(copy: Copy, bucket: Path, store: Path) -> None:
    for version in ("support-en/3", "support-en/4", "verse-zh/1"):
        publish(bucket, version)
    (bucket / "DEFAULT_MODEL").write_text("support-en\n")
    assert copy().returncode == 0
    assert look_into(store).versions == {"support-en": [4, 3], "verse-zh": [1]}
    assert read_default(store) == "support-en"
    (bucket / "support-en/4/manifest.json").unlink()
    (bucket / "DEFAULT_MODEL").unlink()
    assert copy().stdout == "removed support-en/4\n"
    assert look_into(store).versions == {"support-en": [3], "verse-zh": [1]}
    assert read_default(store) == ""


def test_only_the_models_asked_for_are_copied(copy: Copy, bucket: Path, store: Path) -> None:
    for version in ("support-en/3", "verse-zh/1", "code-py/2"):
        publish(bucket, version)
    assert copy(MODELS="support-en code-py").returncode == 0
    assert look_into(store).versions == {"code-py": [2], "support-en": [3]}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_wrong_path_takes_nothing_away(
    copy: Copy, bucket: Path, store: Path, *, is_there: bool
) -> None:
    publish(store, "support-en/3")
    if is_there:
        bucket.mkdir()
    done = copy()
    assert done.returncode == 1
    assert str(bucket) in done.stderr
    assert look_into(store).versions == {"support-en": [3]}


def test_beside_a_server_it_goes_on_until_it_is_told_to_end(
    shell: list[str], bucket: Path, store: Path
) -> None:
    publish(bucket, "support-en/3")
    with spawn(
        [*shell, SCRIPT, str(bucket), str(store), "0.1"], stdout=subprocess.DEVNULL
    ) as process:
        until(lambda: look_into(store).versions == {"support-en": [3]}, "version 3 is copied")
        publish(bucket, "support-en/4")
        until(lambda: look_into(store).versions == {"support-en": [4, 3]}, "and 4 is")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_ends_also_while_the_bucket_does_not_answer(
    shell: list[str], store: Path, tmp_path: Path
) -> None:
    """The pod that it is in would wait for it."""
    asked, answer = tmp_path / "asked", tmp_path / "answer"
    os.mkfifo(answer)
    rclone = tmp_path / "bin/rclone"
    rclone.parent.mkdir()
    rclone.write_text(f"#!/bin/sh\ntouch {asked}\nexec cat {answer}\n")
    rclone.chmod(0o755)
    path = f"{rclone.parent}:/usr/bin:/bin"
    with spawn([*shell, SCRIPT, "bucket", str(store), "0.1"], env={"PATH": path}) as process:
        until(asked.exists, "the bucket is asked")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    answer.open("w").close()  # in a pod it would have ended with its shell

"""What several packages' tests share: one tiny model, one server that serves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hypothesis
import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.server import ServerProcess

# how long an example takes depends on who else uses the machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# files with few tests that take long: they go first, so that no core is left with them in the end
LONG = (
    "lstmserve_server/cache/served/",
    "lstmserve_server/engine/process/test_families.py",
    "lstmserve_server/test_workers.py",
    "lstmserve_training/test_run.py",
)
RELIABILITY = "reliability/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _lies_in(item, RELIABILITY):
            item.add_marker(pytest.mark.reliability)
    items.sort(key=lambda item: not _lies_in(item, *LONG))


def _lies_in(item: pytest.Item, *beginnings: str) -> bool:
    return item.path.relative_to(Path(__file__).parent).as_posix().startswith(beginnings)


@pytest.fixture(scope="session", autouse=True)
def trials(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one server of these tests has proved no other one proves again."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each process has a folder in that of the run
        run = run.parent
    folder = run / "trials"
    folder.mkdir(exist_ok=True)
    preloaded.remember_trials(folder)


def made_tiny(name: str, **options: int) -> Path:
    # torch takes seconds, for which the process that hands out the tests would hold them all up
    from support.made_once import make_once  # noqa: PLC0415
    from support.tiny_checkpoint import make_tiny_checkpoint  # noqa: PLC0415

    return make_once(name, partial(make_tiny_checkpoint, **options))


@pytest.fixture(scope="session")
def tiny_store() -> Path:
    """A model store that holds one small trained model, ``tiny`` version 1."""
    return made_tiny("tiny")


@pytest.fixture(scope="session")
def other_version() -> Path:
    """The folder of a version that answers differently."""
    return made_tiny("other", epochs=1, seed=2) / "tiny" / "1"


@pytest.fixture(scope="session")
def server(tiny_store: Path) -> Iterator[ServerProcess]:
    """A running server of the tiny model, for tests that do not stop it."""
    with ServerProcess(tiny_store) as running:
        yield running

"""The file of callers while a server runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.auth.principal import Failure
from lstmserve_server.errors import StartupError
from support.callers import Callers
from support.no_threads import allow_no_thread


class Reads:
    """Counts what is told."""

    def __init__(self) -> None:
        self.seen: Counter[bool] = Counter()

    def on_read(self, *, is_good: bool) -> None:
        self.seen[is_good] += 1

    def on_unauthenticated(self, failure: Failure) -> None:
        raise AssertionError(failure)


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    made = Callers(tmp_path / "callers.toml")
    made.add("ada", "generate")
    made.add("bob", "admin")
    return made


async def test_who_is_removed_is_unknown_and_who_is_added_is_known(callers: Callers) -> None:
    reads = Reads()
    live = LiveRegister(callers.path, reads)
    assert live.current.find_by_token(callers.tokens["ada"]) is not None
    callers.remove("ada")
    callers.add("eve", "generate")
    await live.look()
    await live.look()
    names = {name: live.current.find_by_token(token) for name, token in callers.tokens.items()}
    assert {name for name, found in names.items() if found} == {"bob", "eve"}
    assert reads.seen == {True: 1}


@pytest.mark.parametrize("text", ["", "[[principals]]\n", "\x00", None])
async def test_a_broken_file_leaves_those_before_and_is_told_of(
    callers: Callers, text: str | None
) -> None:
    reads = Reads()
    live = LiveRegister(callers.path, reads)
    if text is None:
        callers.path.unlink()
    else:
        callers.path.write_text(text)
    with capture_logs() as lines:
        await live.look()
        await live.look()
    assert live.current.find_by_token(callers.tokens["ada"]) is not None
    assert reads.seen == {False: 2}
    (line,) = lines
    assert (line["log_level"], "callers.toml" in line["reason"]) == ("error", True)
    callers.remove("ada")
    await live.look()
    assert live.current.find_by_token(callers.tokens["ada"]) is None
    assert reads.seen == {False: 2, True: 1}


async def test_trouble_that_comes_back_is_logged_again(callers: Callers) -> None:
    live = LiveRegister(callers.path, Reads())
    with capture_logs() as lines:
        for _ in range(2):
            callers.path.unlink()
            await live.look()
            callers.write()
            await live.look()
    assert [line["log_level"] for line in lines] == ["error", "error"]


def test_without_a_good_file_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="--auth-file"):
        LiveRegister(tmp_path / "none.toml", Reads())


async def test_a_bug_is_told_of_and_the_file_is_followed_on(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads()
    live = LiveRegister(callers.path, reads)
    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr("lstmserve_server.auth.live_register.read_file", lambda _: 1 / 0)
        await live.look()
    assert (reads.seen, lines[0]["log_level"]) == ({False: 1}, "error")
    callers.remove("ada")
    await live.look()
    assert live.current.find_by_token(callers.tokens["ada"]) is None


async def test_that_nobody_can_look_is_told_once(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads()
    live = LiveRegister(callers.path, reads)
    allow_no_thread(monkeypatch)
    with capture_logs() as logs:
        await live.look()
        await live.look()
    assert reads.seen == {False: 2}
    (told,) = logs
    assert "raise its limit of processes" in told["reason"]
    assert live.current.find_by_token(callers.tokens["ada"]) is not None

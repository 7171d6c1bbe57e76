"""Replicas that speak TLS and know their callers by tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.endurance.replies import Question
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import command, replicas, targets_of
from lstmserve_client import Tls
from support.certificates import NAME, Authority, options_of
from support.replica_callers import ThreadedCallers, killed


def add_caller(path: Path) -> str:
    """A callers' file with one who may generate; the token."""
    made = run_program(
        command("token", "shop", "--scope", "generate"), capture_output=True, text=True, check=True
    )
    path.write_text(made.stdout)
    return made.stderr.splitlines()[-1]


def test_streams_over_tls_with_a_token_do_not_notice_that_a_replica_was_killed(
    tiny_store: Path, questions: Sequence[Question], tmp_path: Path
) -> None:
    """Where a stream goes on, too, the server proves who it is, and the caller who he is."""
    authority, known = Authority(), tmp_path / "callers.toml"
    token = add_caller(known)
    secured = (*options_of(authority.issue().write(tmp_path)), "--auth-file", str(known))
    with replicas([tiny_store] * 2, *secured) as pair:
        tls = Tls(authority=authority.pem, server_name=NAME)
        callers = ThreadedCallers(targets_of(pair), questions, tls=tls, token=token)
        with callers.asking():
            callers.cut_streams(lambda: killed(pair[0]))

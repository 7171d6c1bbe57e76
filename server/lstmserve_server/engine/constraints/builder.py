"""Has automata built by a process of its own, which is started when the first one is wanted.

A pattern may ask for more time or memory than there is, so the process may end, and another one
takes its place. It costs the server's own process neither memory for numpy nor its interpreter.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Protocol

from lstmserve_bundle import Bundle
from lstmserve_server.children import environment, send_signal
from lstmserve_server.engine.constraints.form import ContextFreeForm, Form, RegularForm
from lstmserve_server.engine.constraints.messages import (
    ANSWERS,
    MAX_LEARNED,
    Answer,
    Build,
    Built,
    BuiltGrammar,
    Learn,
    NotBuilt,
    RefusedFormError,
)
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.messages import Unframer, frame
from lstmserve_server.errors import UnavailableError

PROGRAM = ("-P", "-m", "lstmserve_server.engine.constraints.main")
MAX_SECONDS = 2.0  # of the process's own time, for one form
# on a machine where others have nearly all of the time; then it is killed
MAX_WAITED_SECONDS = 30.0
RECEIVED_BYTES = 1 << 18


class FormBuilder(Protocol):
    """Builds forms."""

    def build(self, spec: FormSpec, bundle: Bundle) -> Form:
        """Return a form over a version's tokens; raises RefusedFormError, UnavailableError."""


class ProcessBuilder:
    """Builds one form at a time; whoever calls waits, so call it on a thread."""

    def __init__(
        self, max_seconds: float = MAX_SECONDS, max_waited_seconds: float = MAX_WAITED_SECONDS
    ) -> None:
        """Bound the process's own time for a form, and the time until its answer comes."""
        self._max_seconds = max_seconds
        self._max_waited_seconds = max_waited_seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def build(self, spec: FormSpec, bundle: Bundle) -> Form:
        """Return a form over a version's tokens.

        Raises RefusedFormError, or UnavailableError where no process can be started, someone has
        killed it, or others leave it too little time: no pattern is to blame for that.
        """
        with self._lock:
            process = self._process = self._running() or _start()
            try:
                answer = process.build(spec, bundle, self._max_seconds, self._max_waited_seconds)
            except (TimeoutError, ConnectionError, EOFError) as error:
                self._process = None
                raise self._explain(process.end(), error) from None
        match answer:
            case NotBuilt(reason):
                raise RefusedFormError(reason)
            case BuiltGrammar(grammar):
                return ContextFreeForm(spec.digest, grammar)
            case Built(automaton, text):
                return RegularForm(spec.digest, automaton, text)

    def close(self) -> None:
        """End the process; whoever waits for it is told that it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _running(self) -> _Process | None:
        """Return the process; none where it has not begun, or ended while it had nothing to do."""
        if self._process is not None and self._process.has_ended:
            self._process.end()
            self._process = None
        return self._process

    def _explain(self, ended_by: int, error: Exception) -> RefusedFormError | UnavailableError:
        if ended_by == signal.SIGPROF:
            return RefusedFormError(
                f"takes longer than {self._max_seconds:g} seconds to build; shorten its repeats, "
                "or nest fewer of them"
            )
        if isinstance(error, TimeoutError):
            return UnavailableError(
                "this machine is too busy to build the constraint; ask again later"
            )
        if ended_by == signal.SIGKILL:  # no bound of its own does that, so no pattern is to blame
            return UnavailableError("the process that builds constraints was killed; ask again")
        return RefusedFormError(
            "needs too much memory to build; shorten its repeats, or nest fewer of them"
        )


class _Process:
    """A process that runs, and the connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._unframer = Unframer()
        self._learned: set[str] = set()

    def build(
        self, spec: FormSpec, bundle: Bundle, max_seconds: float, max_waited_seconds: float
    ) -> Answer:
        """Return its answer; raises OSError when it does not answer in time, EOFError."""
        version = bundle.manifest.digest
        self._connection.settimeout(max_waited_seconds)
        if version not in self._learned:
            if len(self._learned) >= MAX_LEARNED:  # it forgets them as well
                self._learned.clear()
            tokens = bundle.tokenizer.all_bytes()
            self._connection.sendall(frame(Learn(version, tokens, bundle.template.end_id)))
            self._learned.add(version)
        self._connection.sendall(frame(Build(version, spec, max_seconds)))
        return self._receive(time.monotonic() + max_waited_seconds)

    def _receive(self, until: float) -> Answer:
        messages: list[bytes] = []
        while not messages:
            self._connection.settimeout(max(until - time.monotonic(), 0.001))
            data = self._connection.recv(RECEIVED_BYTES)
            if not data:
                raise EOFError
            messages = self._unframer.add(data)
        return ANSWERS.decode(messages[0])

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> int:
        """End it, and return by which signal it has ended; 0: by none."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # whoever waits for it sees the end
        try:  # it may be about to end by itself, and how it does is worth knowing
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            send_signal(self._process, signal.SIGKILL)
        code = self._process.wait()
        self._connection.close()
        return max(-code, 0)


def _start() -> _Process:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a number
            [sys.executable, *PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # no thread of a library that computes reserves memory for itself
            env={**environment(), "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=(theirs.fileno(),),
            process_group=0,  # Ctrl-C on the terminal is for the server alone
        )
    except OSError as error:
        ours.close()
        raise UnavailableError(
            f"no process that builds constraints can be started: {os.strerror(error.errno or 0)}"
        ) from None
    finally:
        theirs.close()
    return _Process(process, ours)

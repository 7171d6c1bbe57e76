"""``lstmserve-server`` that counts nothing and measures no reply: whoever is told does nothing."""

from __future__ import annotations

from lstmserve_server.cli import main
from lstmserve_server.engine.observer import Measuring
from lstmserve_server.telemetry.caches import CacheMetrics
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.engine import EngineMetrics
from lstmserve_server.telemetry.replies import ReplyMetrics


def silence() -> None:
    for kind in (CallMetrics, ReplyMetrics, EngineMetrics, CacheMetrics):
        for name in [name for name in vars(kind) if name.startswith("on_")]:
            setattr(kind, name, _do_nothing)
    setattr(CallMetrics, "on_accepted", _accept)  # noqa: B010 - as the others
    setattr(Measuring, Measuring.chooses.__name__, _choose_nothing)


def _accept(*_facts: object) -> ReplyMetrics:
    return ReplyMetrics.__new__(ReplyMetrics)


def _do_nothing(*_facts: object, **_named: object) -> None: ...


def _choose_nothing(*_facts: object) -> bool:
    return False


if __name__ == "__main__":
    silence()
    main()

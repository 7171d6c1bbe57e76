"""The configuration that ships, for servers on this machine and with less patience."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parents[2] / "docker" / "prometheus"


def write_configuration(
    folder: Path,
    targets: Mapping[str, Sequence[str]],
    interval_seconds: float,
    *,
    wait_for: str | None = None,
) -> None:
    """Write ``prometheus.yml`` and its rules into a folder.

    ``targets`` are the addresses of each job, and jobs that have none are left out.
    ``wait_for`` replaces how long an alert must hold before it fires.
    """
    document = _load(SHIPPED / "prometheus.yml")
    interval = f"{round(interval_seconds * 1000)}ms"
    document["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
    document["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [*targets[job["job_name"]]]}]}
        for job in document["scrape_configs"]
        if job["job_name"] in targets
    ]
    _write(folder / "prometheus.yml", document)
    for path in sorted((SHIPPED / "rules").glob("*.yml")):
        _write(folder / "rules" / path.name, _hasten(_load(path), wait_for))


def _hasten(rules: dict[str, Any], wait_for: str | None) -> dict[str, Any]:
    for group in rules["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if wait_for is not None and "for" in rule:
                rule["for"] = wait_for
    return rules


def address_of(url: str) -> str:
    """Host and port, as a target is named."""
    found = re.fullmatch(r"http://([^/]+)/metrics", url)
    if found is None:
        raise ValueError(f"not the address of a metrics page: {url!r}")
    return found[1]


def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document), "utf-8")

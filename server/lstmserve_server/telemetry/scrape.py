"""Reads another process's metrics page."""

from __future__ import annotations

from http.client import HTTPException
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

# of the two formats the one that tells what is an info; the other calls it a gauge
ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0"}
TIMEOUT_SECONDS = 1.0
DIRECT = build_opener(ProxyHandler({}))  # whatever proxy the environment names


def scrape(url: str) -> list[Metric] | None:
    """The families of a page; None when nobody answers in time."""
    try:
        with DIRECT.open(Request(url, headers=ACCEPT), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own worker
            text = answer.read().decode()
    except (OSError, HTTPException):
        return None
    return [*text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]

"""Asks Helm of a chart: ``chart.py CHART`` reads values as JSON, and prints what comes of them.

It is run by the Python of .venv-manifests, which has Helm as a library.
"""

from __future__ import annotations

import json
import sys

import helm_python

RELEASE = "lstmserve"


def main(chart: str) -> None:
    """Print ``{"manifests": {template: YAML}}``, or ``{"error": text}`` where Helm refuses."""
    values = json.load(sys.stdin)
    report = helm_python.lint(chart, values, strict=True, namespace=RELEASE)
    answer: dict[str, object] = {"lint": [each["error"] for each in report["messages"]]}
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            answer["manifests"] = loaded.render(values, name=RELEASE, namespace=RELEASE)
    except helm_python.HelmError as error:
        answer["error"] = str(error)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

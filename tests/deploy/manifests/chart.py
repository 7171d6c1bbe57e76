"""Asks Helm of a chart: reads a question as JSON, and prints what comes of it.

It is run by the Python of .venv-manifests, which has Helm as a library.
"""

from __future__ import annotations

import json
import sys

import helm_python


def main() -> None:
    """Print ``lint``, and ``manifests`` by template, or ``error`` where Helm refuses.

    With a folder the chart is packaged into it, and the package is what is asked about.
    """
    question = json.load(sys.stdin)
    chart, values, release = (question[key] for key in ("chart", "values", "release"))
    if question["folder"]:
        chart = helm_python.package(chart, destination=question["folder"])
    report = helm_python.lint(chart, values, strict=True, namespace=release)
    answer: dict[str, object] = {"lint": [each["error"] for each in report["messages"]]}
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            answer["manifests"] = loaded.render(values, name=release, namespace=release)
    except helm_python.HelmError as error:
        answer["error"] = str(error)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

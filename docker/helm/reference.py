"""Writes the values of the chart into its README.md; ``--check`` only compares.

What a value means stands in values.schema.json, its default in values.yaml.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "lstmserve"
BEGIN = "<!-- values: written by docker/helm/reference.py -->\n"
END = "<!-- end of values -->\n"
MAX_COLUMNS = 120
NOT_OURS = ("global",)  # Helm gives it to every chart


def write_readme(page: str) -> str:
    """Return the README with what its markers enclose written anew."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = "".join(_rows(schema, defaults))
    return f"{before}{BEGIN}\n{rows}\n{end}{after}"


def _rows(schema: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, each in schema["properties"].items():
        if name in NOT_OURS:
            continue
        if "description" in each:
            item = f"- **`{prefix}{name}`**, {_default(defaults[name])}: {_text(each)}"
            yield fill(item, MAX_COLUMNS, subsequent_indent="  ", break_on_hyphens=False) + "\n"
        else:
            yield from _rows(each, defaults[name], f"{prefix}{name}.")


def _default(value: Any) -> str:  # noqa: ANN401 - YAML is anything
    if isinstance(value, dict | list) and value:
        return "default in values.yaml"
    return f"default `{json.dumps(value)}`"


def _text(value: dict[str, Any]) -> str:
    allowed = " ".join(f"`{each}`" for each in value.get("enum", ()))
    return value["description"] + (f" One of {allowed}." if allowed else "")


def main() -> None:
    """Write the file, or say that it is stale."""
    readme = CHART / "README.md"
    text = write_readme(readme.read_text())
    if text == readme.read_text():
        return
    if "--check" in sys.argv[1:]:
        sys.exit("stale: docker/helm/lstmserve/README.md; run 'python docker/helm/reference.py'")
    readme.write_text(text)


if __name__ == "__main__":
    main()

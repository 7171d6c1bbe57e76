"""Writes what the chart tells of its values; ``--check`` only compares.

What a value means stands in values.schema.json, its default in values.yaml; README.md has both. The
options of the server in the schema are those that ``lstmserve_server.options`` knows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

import yaml

from lstmserve_server.options import OPTIONS, Option

CHART = Path(__file__).resolve().parent / "lstmserve"
BEGIN = "<!-- values: written by docker/helm/reference.py -->\n"
END = "<!-- end of values -->\n"
MAX_COLUMNS = 120
NOT_OURS = ("global",)  # Helm gives it to every chart
# Anything passes the schema for these: it could only say that they are not allowed, and
# templates/_options.tpl says what sets them instead
SET_OTHERWISE = {
    *("config", "listen", "metrics_listen", "http_listen", "model_store", "log_format"),
    *("auth_file", "tls_certificate", "tls_key", "tls_client_authority", "redis_url"),
}
JSON_TYPES = {bool: "boolean", int: "integer", float: "number"}  # all others are text
BOUNDS = {"ge": "minimum", "le": "maximum", "pattern": "pattern"}


def write_schema(text: str) -> str:
    """Return the schema with the options of the server written anew."""
    schema = json.loads(text)
    schema["properties"]["options"]["properties"] = {
        name: {} if name in SET_OTHERWISE else _schema_of(option)
        for name, option in sorted(OPTIONS.items())
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema_of(option: Option) -> dict[str, Any]:
    bounds = {word: option.metadata[key] for key, word in BOUNDS.items() if key in option.metadata}
    choices = {"enum": [*option.choices]} if option.choices else {}
    kind = JSON_TYPES.get(option.kind, "string")
    return {"description": option.help, "type": kind, **bounds, **choices}


def write_readme(page: str, schema: dict[str, Any]) -> str:
    """Return the README with what its markers enclose written anew."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
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
    """Write the files, or say that they are stale."""
    readme, schema = CHART / "README.md", CHART / "values.schema.json"
    written = write_schema(schema.read_text())
    texts = {schema: written, readme: write_readme(readme.read_text(), json.loads(written))}
    stale = [path for path, text in texts.items() if path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(texts[path])
    elif stale:
        names = ", ".join(f"docker/helm/lstmserve/{path.name}" for path in stale)
        sys.exit(f"stale: {names}; run 'python docker/helm/reference.py'")


if __name__ == "__main__":
    main()

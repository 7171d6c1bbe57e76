"""The values of the Helm chart: explained, checked by their schema, and written into its README."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from benchmarks.testbed.process import run_program
from lstmserve_server.options import OPTIONS
from support.chart import CHART
from support.compose import ROOT
from support.manifests import BASE

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def described(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values that the schema explains."""
    for name, each in schema["properties"].items():
        if "description" in each:
            yield prefix + name
        else:
            assert each["additionalProperties"] is False
            yield from described(each, f"{prefix}{name}.")


def test_every_value_is_explained_and_has_a_default() -> None:
    paths = [path for path in described(SCHEMA) if path != "global"]
    assert len(paths) > 60
    for path in paths:
        value = DEFAULTS
        for key in path.split("."):
            value = value[key]
    assert SCHEMA["additionalProperties"] is False
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(DEFAULTS, SCHEMA)


def test_the_schema_knows_the_options_of_the_server_and_no_others() -> None:
    options = SCHEMA["properties"]["options"]
    assert options["properties"].keys() == OPTIONS.keys()
    assert options["additionalProperties"] is False
    assert OPTIONS["max_running"].metadata["le"] == 1024
    assert options["properties"]["max_running"] == {
        "description": OPTIONS["max_running"].help,
        "type": "integer",
        "minimum": 1,
        "maximum": 1024,
    }


def test_the_readme_is_fresh() -> None:
    command = [sys.executable, str(ROOT / "docker/helm/reference.py"), "--check"]
    done = run_program(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "- **`models.objectStorage.path`**" in (CHART / "README.md").read_text()


def test_rules_dashboards_and_callers_are_links_to_the_very_files() -> None:
    links = {path.name: path.resolve() for path in (CHART / "files").iterdir() if path.is_symlink()}
    assert links == {
        "rules": ROOT / "docker/prometheus/rules",
        "dashboards": ROOT / "docker/grafana/dashboards",
        "callers.toml": BASE / "callers.toml",
    }
    for path in (CHART / "files").iterdir():
        if path.is_symlink():  # of any checkout, wherever it is
            assert not Path(path.readlink()).is_absolute()

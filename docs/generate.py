"""Writes ``configuration.md`` from the options' own definitions; ``--check`` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstmserve_server.settings import ENV_PREFIX, Settings

TARGET = Path(__file__).resolve().with_name("configuration.md")
HEADER = """\
<!-- written by docs/generate.py from server/lstmserve_server/settings.py: change that one -->
# Configuration

Every option of `lstmserve-server` may be given as a flag, in the environment, or under its name
in the TOML file that `--config` names, in this order of precedence. Unknown names and bad values
end the start with one line and exit code 2. What to set first: [Operations](operations.md#start).

| name in the file | flag | environment | default | allowed | |
|---|---|---|---|---|---|
"""
NUM_BYTES_PER_MIB = 1 << 20


def write_reference() -> str:
    """The whole file."""
    schema = Settings.model_json_schema()["properties"]
    return HEADER + "".join(f"| {' | '.join(_row(name, schema[name]))} |\n" for name in schema)


def _row(name: str, option: dict[str, Any]) -> Iterator[str]:
    yield f"`{name}`"
    yield f"`--{name.replace('_', '-')}`"
    yield f"`{ENV_PREFIX}{name.upper()}`"
    yield _show_default(name, option.get("default"))
    yield _show_allowed(option)
    yield option["description"].replace("|", "\\|").replace("<", "&lt;")


def _show_default(name: str, value: Any) -> str:  # noqa: ANN401 - of whatever type the option is
    if value in (None, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"  # as in the file and in the environment
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    mib = f", {value // NUM_BYTES_PER_MIB} MiB" if name.endswith("bytes") else ""
    return f"`{shown}`{mib}"


def _show_allowed(option: dict[str, Any]) -> str:
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "pattern" in option:
        return f"`{option['pattern'].strip('^$')}`"
    if option.get("type") == "boolean":
        return "`true`, `false`; the flag alone is `true`"
    low, high = (option.get(key) for key in ("minimum", "maximum"))
    if low is None:
        return "text"
    kind = "whole number" if option["type"] == "integer" else "number"
    return f"{kind} from {low:,}" + (f" to {high:,}" if high is not None else "")


def main() -> None:
    text = write_reference()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit(f"stale: {TARGET.name}; run 'python docs/generate.py'")


if __name__ == "__main__":
    main()

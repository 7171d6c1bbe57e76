"""Prints the versions that the image is built with: those of this environment.

python docker/server/pin.py > docker/server/constraints.txt
"""
# ruff: noqa: INP001 - a script

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

HEAD = """\
# What the image is built with, so that one built tomorrow is the same: all that lstmserve[server]
# and the build of its wheel need, in versions that the tests ran with. Written by
# docker/server/pin.py.
"""
PACKAGE = "lstmserve"
EXTRA = "server"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def find_versions() -> dict[str, str]:
    """Versions by name of all that the package and its build need, itself left out."""
    found: dict[str, str] = {}
    build = tomllib.loads(PROJECT.read_text("utf-8"))["build-system"]["requires"]
    to_do = [Requirement(f"{PACKAGE}[{EXTRA}]"), *map(Requirement, build)]
    done: set[str] = set()
    while to_do:
        requirement = to_do.pop()
        if str(requirement) in done:
            continue
        done.add(str(requirement))
        installed = distribution(requirement.name)
        # a build's name (+cpu) is for its index to say
        found[canonicalize_name(requirement.name)] = Version(installed.version).public
        to_do += _needs(installed.requires or [], requirement.extras)
    del found[PACKAGE]
    return found


def _needs(lines: list[str], extras: set[str]) -> list[Requirement]:
    requirements = map(Requirement, lines)
    return [each for each in requirements if _applies(each, extras)]


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


if __name__ == "__main__":
    pins = (f"{name}=={version}\n" for name, version in sorted(find_versions().items()))
    print(HEAD, *pins, sep="", end="")  # noqa: T201 - its result

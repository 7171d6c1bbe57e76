"""How the image is built: linted, and its versions are the package's."""

from __future__ import annotations

import json
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.testbed.process import run_program
from support.compose import DOCKERFILE, ROOT, instructions, program, read_dockerfile

EXACT_PYTHON = re.compile(r"python:\d+\.\d+\.\d+-slim-[a-z]+")


def read_constraints() -> dict[str, str]:
    lines = (ROOT / "docker/server/constraints.txt").read_text().splitlines()
    pins = (Requirement(line) for line in lines if not line.startswith("#"))
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def read_requirements() -> list[Requirement]:
    """What the package and its server extra ask for."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*package["dependencies"], *package["optional-dependencies"]["server"]]
    return [*map(Requirement, lines)]


def test_the_linter_has_nothing_to_say() -> None:
    done = run_program(
        [program("hadolint"), "--format", "json", str(DOCKERFILE)],
        check=False,
        capture_output=True,
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0


def test_every_stage_begins_with_one_exact_image() -> None:
    images = read_dockerfile().parent_images
    assert len(images) == 3
    assert len({*images}) == 1
    assert EXACT_PYTHON.fullmatch(images[0])
    assert f'base.name="docker.io/library/{images[0]}"' in instructions("LABEL", "server")[0]


def test_what_runs_is_nobody_with_rights_and_hears_signals() -> None:
    (user,) = instructions("USER", "server")
    assert all(int(number) >= 10_000 for number in user.split(":"))
    # exec form: with a shell before it, SIGTERM would never reach the server
    assert instructions("ENTRYPOINT", "server") == ['["lstmserve-server"]']
    assert instructions("STOPSIGNAL", "server") == ["SIGTERM"]
    assert not instructions("CMD", "server")


def test_no_secret_goes_in() -> None:
    text = DOCKERFILE.read_text().lower()
    assert not re.search(r"password|token|secret|\.netrc|--trusted-host|://[^/\s]+@", text)
    assert not instructions("ADD")


def test_everything_that_the_server_needs_is_pinned_to_a_version_it_allows() -> None:
    pins = read_constraints()
    for requirement in read_requirements():
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement

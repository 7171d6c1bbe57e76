"""What a server would be configured with."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve_server.command_line import read_command_line
from lstmserve_server.config import ServerConfig
from lstmserve_server.options import OPTIONS


def read_config(arguments: Sequence[str] = ()) -> ServerConfig:
    """Return what the command line says, with the environment and the file that it names."""
    config = read_command_line(arguments)
    assert config is not None, f"{arguments}: starts no server"
    return config


def find_value(config: ServerConfig, name: str) -> object:
    """Return the value of an option."""
    value: object = config
    for field in OPTIONS[name].path:
        value = getattr(value, field)
    return value

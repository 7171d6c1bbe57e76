"""What a target may look like, checked before gRPC looks it up as a name, or asks port 443."""

import re
from collections.abc import Sequence

_TARGET = re.compile(r"(unix|ipv4|ipv6):.+|[^\s,]+:[^\s,]+")
_URL = re.compile(r"(https?|grpcs?)://(?P<address>[^\s,/?#]*)\S*", re.IGNORECASE)
_PORT = re.compile(r":(\d+)$")
_MAX_PORT = 65_535


def check_targets(targets: Sequence[str]) -> None:
    """Raise ValueError for what is no target, or for none."""
    for target in targets:
        _check_scheme(target)
    if not targets or not all(map(_TARGET.fullmatch, targets)):
        raise ValueError(
            "target: must be HOST:PORT, another target of gRPC's such as dns:///HOST:PORT, or "
            f"a list of at least one of them, not {_shown(targets)}"
        )
    for target in targets:
        _check_ports(target)


def _check_scheme(target: str) -> None:
    if not (url := _URL.fullmatch(target)):
        return
    is_secure = url[1].lower() in {"https", "grpcs"}
    encrypted = ", and give tls=Tls() (--tls)" if is_secure else ""
    address = url["address"].rpartition("@")[2]  # without a password
    address += "" if _PORT.search(address) else ":PORT"
    raise ValueError(
        f'target: must be HOST:PORT, not a URL of {url[1]}://; write "{address}"{encrypted}'
    )


def _check_ports(target: str) -> None:
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return
    for address in target.split(","):  # as ipv4: and ipv6: have them
        if address.startswith("ipv6:") and "]" not in address:
            continue  # has no port
        if (port := _PORT.search(address)) and not 0 < int(port[1]) <= _MAX_PORT:
            raise ValueError(f"target: ports are 1 to {_MAX_PORT}, not {port[1]} of {target!r}")


def _shown(targets: Sequence[str]) -> str:
    return repr(targets[0]) if len(targets) == 1 else repr(list(targets))

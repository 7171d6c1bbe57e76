"""Which hosts are this machine, however they are spelled. Asks no DNS.

The client has the same rule, and takes zones of addresses besides. A contract of imports keeps the
two independent, so neither can have it of the other.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

_ANY_PORT = 9  # nothing is sent there
_HOSTS_FILE = Path("/etc/hosts")
# what it mostly has besides, and resolvers know where it does not
_USUAL_NAMES = {"localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}


def is_nearby(host: str) -> bool:
    """Return whether an address is this machine's, or a name leads to it.

    Reads the file of hosts for names that are not its own.
    """
    host = host.lower().strip("[]").rstrip(".")
    return _is_here(host) or host in _own_names() or _is_listed_here(host)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    # whatever the resolver takes for an address: 127.1 as well
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, _ANY_PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
    except (OSError, UnicodeError):  # a name
        return False
    found = ip_address(str(place[0]).partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified or _is_own(family, place)


def _is_own(family: int, place: tuple[object, ...]) -> bool:
    """Whether it is an address of one of the interfaces: the kernel calls those from themselves."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as calling:
        calling.connect(place)
        return bool(calling.getsockname()[0] == place[0])
    return False


def _own_names() -> set[str]:
    name = socket.gethostname().lower().rstrip(".")
    return {name, name.partition(".")[0], *_USUAL_NAMES} - {""}


def _is_listed_here(name: str) -> bool:
    """Whether the file of hosts gives a name addresses of this machine, and no others."""
    addresses = set(_listed_addresses(name))
    return bool(addresses) and all(map(_is_here, addresses))


def _listed_addresses(name: str) -> Iterator[str]:
    try:
        listed = _HOSTS_FILE.read_text("utf-8", errors="replace")
    except OSError:  # without it names are DNS's alone
        return
    for line in listed.lower().splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name in names:
            yield address

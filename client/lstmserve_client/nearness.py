"""Which targets are on this machine, however they are spelled. Asks no DNS."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote

_SOCKETS = ("unix:", "unix-abstract:", "vsock:")
# of gRPC's: dns:///HOST:PORT, dns://SERVER/HOST:PORT, ipv4:HOST:PORT,HOST:PORT and so on
_SCHEME = re.compile(r"(dns|ipv4|ipv6):(//[^/]*/)?", re.IGNORECASE)
_ANY_PORT = 9  # nothing is sent there
_HOSTS_FILE = Path("/etc/hosts")
# what it mostly has besides, and resolvers know where it does not
_USUAL_NAMES = {"localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}


def is_local(target: str) -> bool:
    """Whether all of a target is on this machine for certain, whatever DNS says."""
    return target.startswith(_SOCKETS) or all(map(_is_here, _hosts(target)))


def is_nearby(target: str) -> bool:
    """Whether all of a target is on this machine, or goes by one of its names.

    Reads the file of hosts for other names.
    """
    names = _own_names()
    return target.startswith(_SOCKETS) or all(
        _is_here(host) or host in names or _is_listed_here(host) for host in _hosts(target)
    )


def _hosts(target: str) -> Iterator[str]:
    """In lower case, without ports and brackets."""
    for address in unquote(_SCHEME.sub("", target, count=1)).lower().split(","):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():  # gRPC takes port 443 then
            host = address
        yield host.strip("[]").rstrip(".")


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    # whatever the resolver takes for an address: 127.1 and fe80::1%eth0 as well; it wants a zone
    # where there are several, and takes none, as in ::1%lo, where there is one
    resolved = _resolve(host) or _resolve(host.partition("%")[0])
    if resolved is None:  # a name
        return False
    family, place = resolved
    found = ip_address(str(place[0]).partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified or _is_own(family, place)


def _resolve(host: str) -> tuple[int, tuple[object, ...]] | None:
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, _ANY_PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
    except (OSError, UnicodeError):
        return None
    return family, place


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

"""How a client knows its servers, and how they know it."""

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_LABELS = {
    "authority": b"CERTIFICATE-----",
    "certificate": b"CERTIFICATE-----",
    "key": b"PRIVATE KEY-----",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates in PEM; what is absent follows the system.

    ``authority`` signs the servers' certificates; without it, those that gRPC trusts do.
    ``certificate`` and ``key`` are the client's own, for servers that ask for one. Raises
    ValueError when only one of the two is given, or one is not what its name says.
    """

    authority: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)  # a key may stand beside it
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""  # that the certificate must have, where it is not the target's

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key: both are needed, or neither")
        for name, label in _LABELS.items():
            value = getattr(self, name)
            if value is not None and label not in value:  # gRPC would tell nothing of it
                raise ValueError(f"{name}: has no line -----BEGIN {label.decode()} of PEM")

    @classmethod
    def from_files(
        cls,
        *,
        authority: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        server_name: str = "",
    ) -> Self:
        """Read the files now. Raises OSError."""
        return cls(
            authority=_read(authority),
            certificate=_read(certificate),
            key=_read(key),
            server_name=server_name,
        )


def _read(path: str | Path | None) -> bytes | None:
    """Without the mark that some editors begin a file with: OpenSSL would not see what follows."""
    return None if path is None else Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)

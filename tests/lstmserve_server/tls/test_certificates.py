"""The certificate in force follows its files, and never becomes a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstmserve_server.tls.certificates import Certificates
from support.certificates import LONG_AGO, Authority, Mounted, config_of

AUTHORITY = Authority()
FIRST, SECOND = AUTHORITY.issue(), AUTHORITY.issue()


class Told:
    """What an observer heard."""

    def __init__(self) -> None:
        self.num_loaded = 0
        self.num_failures = 0

    def on_certificate(self, expires_at: float) -> None:
        assert expires_at > 0
        self.num_loaded += 1

    def on_reload_failure(self) -> None:
        self.num_failures += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return FIRST.write(tmp_path / "pair")


def in_force(certificates: Certificates) -> bytes:
    return certificates.current.files.chain


def test_what_is_new_and_whole_is_taken(folder: Path, told: Told) -> None:
    certificates = Certificates(config_of(folder), told)
    certificates.look()
    assert (in_force(certificates), told.num_loaded) == (FIRST.chain, 1)
    SECOND.write(folder)
    certificates.look()
    assert (in_force(certificates), told.num_loaded, told.num_failures) == (SECOND.chain, 2, 0)


def test_a_pair_is_taken_when_its_second_file_has_come(folder: Path, told: Told) -> None:
    certificates = Certificates(config_of(folder), told)
    (folder / "tls.crt").write_bytes(SECOND.chain)
    certificates.look()
    assert in_force(certificates) == FIRST.chain
    (folder / "tls.key").write_bytes(SECOND.key)
    certificates.look()
    assert (in_force(certificates), told.num_failures) == (SECOND.chain, 0)


def test_a_link_that_leads_elsewhere_is_followed(tmp_path: Path, told: Told) -> None:
    mounted = Mounted(tmp_path / "secret", FIRST)
    certificates = Certificates(config_of(mounted.folder), told)
    mounted.put(SECOND)
    certificates.look()
    assert (in_force(certificates), told.num_failures) == (SECOND.chain, 0)


def test_what_stays_broken_is_told_once_and_again_after_it_was_mended(
    folder: Path, told: Told
) -> None:
    certificates = Certificates(config_of(folder), told)
    for num_failures in (1, 2):
        (folder / "tls.key").write_bytes(SECOND.key[:99])
        for _ in range(5):
            certificates.look()
        assert (in_force(certificates), told.num_failures) == (FIRST.chain, num_failures)
        FIRST.write(folder)
        certificates.look()


@pytest.mark.parametrize("kind", ["expired", "gone"])
def test_the_old_one_stays_where_the_new_one_is_no_use(folder: Path, told: Told, kind: str) -> None:
    certificates = Certificates(config_of(folder), told)
    if kind == "expired":
        AUTHORITY.issue(not_after=LONG_AGO).write(folder)
    else:
        (folder / "tls.crt").unlink()
    certificates.look()
    certificates.look()
    assert (in_force(certificates), told.num_failures) == (FIRST.chain, 1)


def test_another_authority_of_clients_is_taken(folder: Path, told: Told) -> None:
    authority = folder / "ca.crt"
    authority.write_bytes(AUTHORITY.pem)
    certificates = Certificates(config_of(folder, authority), told)
    other = Authority().pem
    authority.write_bytes(AUTHORITY.pem + other)
    certificates.look()
    assert certificates.current.files.authority == AUTHORITY.pem + other

"""``lstmserve-server verify``: tries a version as a server does before it serves it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

from lstmserve_bundle.bundle import verify_bundle
from lstmserve_bundle.errors import BundleError
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.engine.messages import Loaded
from lstmserve_server.errors import ModelLoadError
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.version_loader import VersionLoader

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_bundle import Bundle


def verify(folder: Path) -> StoredVersion:
    """Have a version loaded and proved exact by a process of its own; raises ModelLoadError.

    It may lie anywhere: what it is says its manifest.
    """
    try:
        manifest = verify_bundle(folder)
    except BundleError as error:
        raise ModelLoadError(str(error)) from None
    stored = StoredVersion(manifest.name, manifest.version, folder.resolve())
    with closing(ProcessBuilder()) as builder:
        loader = VersionLoader(EngineConfig(), 1, _make_no_engine, builder, KeptForms(0))
        asyncio.run(loader.verify(stored))
    return stored


def _make_no_engine(bundle: Bundle, loaded: Loaded) -> EngineClient:
    raise NotImplementedError("a version that is verified serves nobody")

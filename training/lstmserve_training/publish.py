"""The verb ``publish``: a verified, immutable version in a model store."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.bundle import describe_file, open_bundle
from lstmserve_bundle.errors import BundleError
from lstmserve_bundle.fingerprint import FINGERPRINT_NAME, take_fingerprint, write_fingerprint
from lstmserve_bundle.manifest import write_manifest
from lstmserve_training.checkpoint import load_best
from lstmserve_training.describe import Publication, make_manifest
from lstmserve_training.errors import PublishError
from lstmserve_training.export import load_module
from lstmserve_training.speed import one_thread
from lstmserve_training.work import MODEL_NAME, TOKENIZER_NAME, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_PER_MB = 1_000_000


def publish(publication: Publication) -> Path:
    """Write ``<store>/<name>/<version>/``, whole or not at all.

    Raises PublishError when the version exists, a file is too big, or the evaluation is not
    of these files; MissingInputError when an earlier verb has not been run.
    """
    target = publication.store / publication.name / str(publication.version)
    if target.exists():
        raise PublishError(f"{target} exists: versions are immutable, publish the next one")
    work = publication.work
    _check_size(require(work, MODEL_NAME), publication.max_size_mb)
    names = [MODEL_NAME, TOKENIZER_NAME, *_write_fingerprint(work)]
    files = {name: describe_file(require(work, name)) for name in names}
    manifest = make_manifest(publication, load_best(work), files)
    with _appearing_folder(target) as folder:
        for name in names:
            shutil.copyfile(work / name, folder / name)
        write_manifest(folder, manifest)
        _verify(folder)
    return target


@contextmanager
def _appearing_folder(target: Path) -> Iterator[Path]:
    """A sibling folder that becomes ``target`` at the end, or vanishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # the leading dot keeps servers that scan the store from taking it for a version
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's 0700 would hide the version from another user's server
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@torch.no_grad()
def _write_fingerprint(work: Path) -> list[str]:
    """Write what servers compare their numbers with; return the file's name.

    None where this CPU may round otherwise than those of servers do.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return []
    model = load_module(work / MODEL_NAME)

    def read(tokens: Sequence[int]) -> Iterator[bytes]:
        state = model.initial_state(1)
        for token in tokens:
            scores, state = model.step(state, torch.tensor([token]))
            yield scores.numpy().tobytes()
        yield state.numpy().tobytes()

    with one_thread():
        fingerprint = take_fingerprint(model.num_tokens, read)
    write_fingerprint(work / FINGERPRINT_NAME, fingerprint)
    return [FINGERPRINT_NAME]


def _verify(folder: Path) -> None:
    try:
        open_bundle(folder)
    except BundleError as error:
        raise PublishError(f"the version would not load: {error}") from error


def _check_size(path: Path, max_size_mb: float) -> None:
    size_mb = path.stat().st_size / BYTES_PER_MB
    if size_mb > max_size_mb:
        raise PublishError(
            f"{path} has {size_mb:.1f} MB, more than {max_size_mb:g} MB: train a smaller model, "
            "or allow it with --max-size-mb"
        )

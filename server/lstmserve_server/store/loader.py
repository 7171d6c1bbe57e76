"""From a folder to a model that runs: verify, load, warm up."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from lstmserve_bundle import Bundle, BundleError, Manifest, open_bundle, verify_bundle
from lstmserve_server.engine.decoding.decode_loop import DecodeLoop
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams
from lstmserve_server.errors import ModelLoadError, StartupError
from lstmserve_server.store.memory import keep_buffers, make_archive, path_of
from lstmserve_server.store.proof import find_difference
from lstmserve_server.store.repository import StoredVersion

# enough calls for TorchScript's profiling executor to have specialized the loop
WARM_UP_CALLS = 3
# from this many rows on oneDNN's AMX product is faster than fbgemm's; the bits are the same
WIDE_ROWS = 16
DIGEST = "digest"  # the part of an archive that says which version it was made of


@dataclass(frozen=True)
class LoadedModel:
    """A verified version and the runner that holds its weights."""

    bundle: Bundle
    runner: Runner
    difference: str = ""  # what its replies depend on besides their requests; empty: nothing


def configure_torch(threads: int) -> None:
    """Settle what torch decides once per process; raises StartupError on a CPU too old.

    AVX2 and AVX-512 give the same bits; the scalar code of older CPUs does not.
    """
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        raise StartupError(
            "this CPU has no AVX2, or /proc/cpuinfo does not tell: replies would differ from other "
            "servers'"
        )
    keep_buffers()
    torch.set_num_threads(threads)
    # named, because the default engine differs between CPUs, and with it the packed weights
    torch.backends.quantized.engine = "fbgemm"
    # each decode call is short; recompiling for every batch size would cost more than it saves
    torch.jit.set_fusion_strategy([])


def verify_version(stored: StoredVersion) -> None:
    """Whether one version's files are those that were published; raises ModelLoadError.

    What is in them is not looked at: a tokenizer can end a process as well as a model can.
    """
    with _told():
        _check_place(stored, verify_bundle(stored.folder))


def open_version(stored: StoredVersion) -> Bundle:
    """Verify and open one version; raises ModelLoadError saying what is wrong with it."""
    with _told():
        bundle = open_bundle(stored.folder)
    _check_place(stored, bundle.manifest)
    return bundle


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BundleError as error:
        raise ModelLoadError(str(error)) from None


def _check_place(stored: StoredVersion, manifest: Manifest) -> None:
    if (manifest.name, manifest.version) != (stored.name, stored.version):
        raise ModelLoadError(
            f"{stored.folder}: its manifest says {manifest.name} version {manifest.version}; "
            "a version must lie in <model>/<version>"
        )


def compile_version(bundle: Bundle, archive: int) -> None:
    """Put the version's model inside its decode loop into an archive; raises ModelLoadError.

    TorchScript never forgets what it has compiled, but what it has loaded: a compiled loop that
    has run keeps 5 MB for ever (docs/adr/0006-swaps.md), so none is ever run.
    """
    with _reported(bundle):
        model = _load_script(str(bundle.model_path))
        loop = torch.jit.script(
            DecodeLoop(
                model, bundle.template.end_id, bundle.manifest.sizes.vocabulary, MAX_LOGPROBS
            ).eval()
        )
        torch.jit.save(loop, path_of(archive), _extra_files={DIGEST: bundle.manifest.digest})


def load_archive(
    bundle: Bundle, archive: int, max_rows: int, difference: str | None = None
) -> LoadedModel:
    """Return what ``compile_version`` made of this version, warmed up; raises ModelLoadError.

    ``difference`` is what a proof has found, empty for nothing; without one it is proved here. A
    version that is not exact has one row: nothing can run beside it.
    """
    extra = {DIGEST: b""}
    with _reported(bundle):
        loop = _load_script(path_of(archive), extra)
        if extra[DIGEST].decode() != bundle.manifest.digest:
            raise ModelLoadError(f"{bundle.folder}: changed while it was loaded")
        if has_amx() and hasattr(loop.model, "widen"):
            loop.model.widen(WIDE_ROWS)
        _check_shapes(loop, bundle)
        if difference is None:
            difference = find_difference(loop, bundle, max_rows)
        num_rows = 1 if difference else max_rows
        runner = Runner(loop, num_rows, bundle.manifest.sizes.vocabulary)
        _warm_up(runner, num_rows)
    return LoadedModel(bundle, runner, difference)


def load_version(
    stored: StoredVersion, max_rows: int, difference: str | None = None
) -> LoadedModel:
    """Verify, compile and load one version, as ``load_archive`` does; raises ModelLoadError."""
    bundle = open_version(stored)
    with make_archive() as archive:
        compile_version(bundle, archive)
        return load_archive(bundle, archive, max_rows, difference)


@contextmanager
def _reported(bundle: Bundle) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # the only kind that TorchScript raises
        raise ModelLoadError(
            f"{bundle.model_path}: not a servable model: {_reason(error)}"
        ) from None


def _load_script(path: str, extra: dict[str, bytes] | None = None) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        # TorchScript is deprecated upstream; torch is pinned, and a successor touches this file
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            path, map_location="cpu", _extra_files=extra
        )
        return loaded


def has_amx() -> bool:
    """Whether this CPU multiplies INT8 matrices by tiles (Sapphire Rapids and later)."""
    return bool(torch.cpu.get_capabilities().get("amx_int8"))


def _check_shapes(loop: torch.jit.ScriptModule, bundle: Bundle) -> None:
    """Raise ModelLoadError when the module is not the one that the manifest describes."""
    sizes = bundle.manifest.sizes
    state = loop.initial_state(1)
    logits = loop.logits_after(state, torch.zeros(1, dtype=torch.int64))
    for name, found, expected in (
        ("state", state, sizes.state),
        ("logits", logits, sizes.vocabulary),
    ):
        if found.shape != (1, expected) or found.dtype != torch.float32:
            raise ModelLoadError(
                f"{bundle.model_path}: its {name} are {found.dtype} {list(found.shape)}, but by "
                f"the manifest float32 [1, {expected}]"
            )


def _reason(error: RuntimeError) -> str:
    """One line of TorchScript's many: the last for an error at run time, else the first."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return lines[-1] if "Traceback" in str(error) else lines[0].rstrip(" :")


def _warm_up(runner: Runner, max_rows: int) -> None:
    """Take the common paths, so that no caller pays for the first time."""
    greedy = SamplingParams(temperature=0.0)
    fancy = SamplingParams(temperature=1.0, top_k=5, top_p=0.9, min_p=0.01, num_logprobs=1)
    adjusted = SamplingParams(repetition_penalty=1.1, logit_bias=((0, 1.0),))
    for num_rows in (1, max_rows):
        slots = list(range(num_rows))
        for kinds in ((greedy,), (SamplingParams(),), (fancy,), (adjusted, greedy, fancy)):
            rows = [DecodeRow(n, 0, 0, kinds[n % len(kinds)], 1, (0,)) for n in slots]
            for _ in range(WARM_UP_CALLS):
                runner.clear(slots)
                runner.prefill(slots, [(0, 0)] * num_rows)
                runner.decode(rows, steps=2, same_rows=False)

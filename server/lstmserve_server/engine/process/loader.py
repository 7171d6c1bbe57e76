"""From a folder or an archive to a model that runs: verify, compile, prove, warm up."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from lstmserve_bundle import Bundle, BundleError, open_bundle, verify_bundle
from lstmserve_server.engine.archive import path_of
from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.decoding.decode_ahead import DecodeAheadLoop
from lstmserve_server.engine.decoding.decode_loop import DecodeLoop
from lstmserve_server.engine.decoding.decode_row import DecodeRow, FormRow
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.decoding.state_format import (
    MAX_STATE_BYTES,
    format_of,
    int8_columns_of,
)
from lstmserve_server.engine.process.memory import keep_buffers
from lstmserve_server.engine.process.proof import find_difference
from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams
from lstmserve_server.engine.shared_page import SharedPage
from lstmserve_server.errors import ModelLoadError, StartupError

# enough calls for TorchScript's profiling executor to have specialized the loop
WARM_UP_CALLS = 3
WARM_UP_FORM = b"warm-up"  # which is no digest
# from this many rows on oneDNN's AMX product is faster than fbgemm's; the bits are the same
WIDE_ROWS = 16
FACTS = "facts"  # the part of an archive that tells what it was made of


class Facts(msgspec.Struct, frozen=True):
    """What running an archive takes besides the archive."""

    digest: str  # of the version
    vocabulary: int
    end_id: int


@dataclass(frozen=True)
class LoadedModel:
    """The runner that holds a version's weights, and what is known of the version."""

    facts: Facts
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


def watch(page: SharedPage) -> torch.Tensor:
    """Return the number of messages that the server has sent, as it is at any moment; int64 []."""
    return torch.frombuffer(page.memory, dtype=torch.int64, count=1)[0]


def load_version(folder: Path, archive: int, max_rows: int) -> LoadedModel:
    """Verify, compile, load and prove what lies in a folder; raises ModelLoadError.

    What is served was loaded from the archive, which is filled here: another process can load the
    same from there, whatever has become of the folder. A version that is not exact has one row:
    nothing can run beside it.
    """
    try:
        bundle = open_bundle(folder)
        with _reported(bundle.model_path):
            _compile(bundle, archive)
        verify_bundle(folder)  # what was read since is what was verified
    except BundleError as error:
        raise ModelLoadError(str(error)) from None
    with _reported(bundle.model_path):
        loop, facts = _open_archive(archive)
        _check_shapes(loop, bundle)
        difference = find_difference(loop, bundle, max_rows)
        return _warmed_up(loop, facts, max_rows, difference)


def load_archive(archive: int, max_rows: int, difference: str) -> LoadedModel:
    """Return what ``load_version`` has put into an archive and proved; raises ModelLoadError."""
    with _reported(Path(path_of(archive))):
        loop, facts = _open_archive(archive)
        return _warmed_up(loop, facts, max_rows, difference)


def _compile(bundle: Bundle, archive: int) -> None:
    """Put the version's model inside its decode loop into an archive."""
    vocabulary, end_id = bundle.manifest.sizes.vocabulary, bundle.template.end_id
    model = _load_script(str(bundle.model_path))
    kind = DecodeAheadLoop if hasattr(model, "read_ahead") else DecodeLoop
    loop = torch.jit.script(kind(model, end_id, vocabulary, MAX_LOGPROBS).eval())
    facts = Facts(bundle.manifest.digest, vocabulary, end_id)
    torch.jit.save(loop, path_of(archive), _extra_files={FACTS: msgspec.json.encode(facts)})


def _open_archive(archive: int) -> tuple[torch.jit.ScriptModule, Facts]:
    extra = {FACTS: b""}
    loop = _load_script(path_of(archive), extra)
    if has_amx() and hasattr(loop.model, "widen"):
        loop.model.widen(WIDE_ROWS)
    return loop, msgspec.json.decode(extra[FACTS], type=Facts)


def _warmed_up(
    loop: torch.jit.ScriptModule, facts: Facts, max_rows: int, difference: str
) -> LoadedModel:
    num_rows = 1 if difference else max_rows
    # what is not proved is not relied on
    int8_columns = () if difference else int8_columns_of(loop.model)
    runner = Runner(loop, num_rows, facts.vocabulary, int8_columns=int8_columns)
    _warm_up(runner, num_rows)
    return LoadedModel(facts, runner, difference)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # what TorchScript raises, and for no file at all
        raise ModelLoadError(f"{path}: not a servable model: {_reason(error)}") from None


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
    kept = format_of(loop.model, sizes.state).num_bytes
    if kept > MAX_STATE_BYTES:
        raise ModelLoadError(
            f"{bundle.model_path}: a state that is kept has {kept} bytes, and at most "
            f"{MAX_STATE_BYTES} are allowed; whole numbers need a quarter (int8_columns)"
        )


def _reason(error: Exception) -> str:
    """One line of TorchScript's many: the last for an error at run time, else the first."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return lines[-1] if "Traceback" in str(error) else lines[0].rstrip(" :")


def _warm_up(runner: Runner, max_rows: int) -> None:
    """Take the common paths, so that no caller pays for the first time."""
    greedy = SamplingParams(temperature=0.0)
    fancy = SamplingParams(temperature=1.0, top_k=5, top_p=0.9, min_p=0.01, num_logprobs=1)
    adjusted = SamplingParams(repetition_penalty=1.1, logit_bias=((0, 1.0),))
    form = _make_warm_up_form(runner)
    for num_rows in (1, max_rows):
        slots = list(range(num_rows))
        for kinds in ((greedy,), (SamplingParams(),), (fancy,), (adjusted, greedy, fancy)):
            rows = [DecodeRow(n, 0, 0, kinds[n % len(kinds)], 1, (0,)) for n in slots]
            _run_often(runner, rows)
        _run_often(runner, [DecodeRow(n, 0, 0, greedy, 1, (0,), form=form) for n in slots])
    runner.taught.forget(form.digest)


def _run_often(runner: Runner, rows: list[DecodeRow]) -> None:
    slots = [row.slot for row in rows]
    for _ in range(WARM_UP_CALLS):
        runner.clear(slots)
        runner.prefill(slots, [(0, 0)] * len(slots))
        runner.decode(rows, steps=2, same_rows=False)


def _make_warm_up_form(runner: Runner) -> FormRow:
    """Teach a form of one state that allows everything, and takes the way near the end."""
    state, count = array("i", [0]).tobytes(), array("i", [0, 1]).tobytes()
    classes = array("H", [0] * runner.num_tokens).tobytes()
    masks = b"\xff" * (runner.num_tokens // 8)
    worst = array("i", [1]).tobytes()
    automaton = Automaton(0, count, classes[:2], state, state, state, worst, masks, classes)
    runner.taught.teach(WARM_UP_FORM, automaton)
    return FormRow(WARM_UP_FORM, 0, 1)

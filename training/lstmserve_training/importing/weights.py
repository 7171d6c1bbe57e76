"""Reads weights of any form into tensors by name. Nothing that a file holds is run."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmserve_training.errors import DataError, MissingInputError
from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.quantize import use_quantized_engine

if TYPE_CHECKING:
    from pathlib import Path

Weights = dict[str, Tensor]
NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
INT8 = "quantized_dynamic"


def read_weights(path: Path) -> Weights:
    """Float tensors by name, of a state dict, of safetensors or of a TorchScript module."""
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        weights = _read_safetensors(path)
    else:
        weights = _read_torchscript(path) if is_torchscript(path) else _read_state_dict(path)
    for name, value in weights.items():
        if not value.isfinite().all():
            raise DataError(f"{path}: {name} holds values that are no finite numbers")
    return weights


def is_torchscript(path: Path) -> bool:
    """Whether it is a module with its code, and not weights alone."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _read_state_dict(path: Path) -> Weights:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: holds more than weights, such as a whole module, and reading that could run "
            "anybody's code; save the weights alone: torch.save(model.state_dict(), …)"
        ) from None
    except Exception as error:  # torch raises a dozen unrelated types for a damaged file
        raise DataError(f"{path}: is no state dict that torch can read: {error}") from error
    return _only_tensors(path, _unwrap(found))


def _unwrap(found: Any) -> Any:  # noqa: ANN401 - anything may be in there
    """The state dict inside a checkpoint of a training loop, without what DataParallel adds."""
    if isinstance(found, dict):
        for name in NESTED:
            if isinstance(found.get(name), dict):
                return _unwrap(found[name])
        return {str(name).removeprefix("module."): value for name, value in found.items()}
    return found


def _only_tensors(path: Path, found: Any) -> Weights:  # noqa: ANN401
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds {type(found).__name__}, not weights by name")
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not weights:
        raise DataError(f"{path}: holds no weights; there are: {', '.join(map(str, found)) or '-'}")
    return {name: value.dequantize().float() for name, value in weights.items()}


def _read_safetensors(path: Path) -> Weights:
    try:
        from safetensors.torch import load_file  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise DataError(f"{path}: needs a package; run: pip install safetensors") from None
    try:
        found = load_file(path)
    except Exception as error:  # of a type that the library's own code has
        raise DataError(f"{path}: cannot be read as safetensors: {error}") from error
    return _only_tensors(path, _unwrap(found))


# --- TorchScript ----------------------------------------------------------------------------------


def _read_torchscript(path: Path) -> Weights:
    """Its parameters, and the weights that dynamic quantization has packed, as floats."""
    use_quantized_engine()
    try:
        with known_deprecations():
            module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as TorchScript: {error}") from None
    weights = {name: value.float() for name, value in module.state_dict().items()}
    with torch.no_grad(), known_deprecations():
        for name, part in module.named_modules():
            prefix = f"{name}." if name else ""
            if hasattr(part, "_all_weight_values"):
                weights |= _unpack_lstm(path, prefix, part)
            elif hasattr(part, "_packed_params") and not hasattr(part, "_all_weight_values"):
                weights |= _unpack_linear(prefix, part)
    return weights


def _unpack_lstm(path: Path, prefix: str, part: Any) -> Weights:  # noqa: ANN401 - a script module
    found: Weights = {}
    cells = [cell for _, cell in part._all_weight_values.named_children()]  # noqa: SLF001
    directions = 2 if getattr(part, "bidirectional", False) else 1
    for number, cell in enumerate(cells):
        layer, suffix = divmod(number, directions)
        kind, biases, _, _, packed = cell.param.__getstate__()[0]
        if kind != INT8:
            raise DataError(f"{path}: {prefix}: weights of kind {kind!r}; {INT8!r} is read")
        end = f"l{layer}" + ("_reverse" if suffix else "")
        for name, bias, weight in zip(("ih", "hh"), biases, packed, strict=True):
            found[f"{prefix}weight_{name}_{end}"] = _dequantize(weight)[0]
            found[f"{prefix}bias_{name}_{end}"] = bias.detach().float()
    return found


def _unpack_linear(prefix: str, part: Any) -> Weights:  # noqa: ANN401 - a script module
    packed = getattr(part._packed_params, "_packed_params", None)  # noqa: SLF001
    if packed is None:
        return {}
    weight, bias = _dequantize(packed)
    return {f"{prefix}weight": weight} | ({} if bias is None else {f"{prefix}bias": bias})


def _dequantize(packed: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401 - packed weights
    weight, bias = torch.ops.quantized.linear_unpack(packed)
    return weight.dequantize(), None if bias is None else bias.detach().float()

"""Where a run is computed, and in which numbers."""

from __future__ import annotations

import torch

from lstmserve_training.errors import TrainingError


def pick_device(name: str | None) -> torch.device:
    """The named device, or a GPU where there is one; raises TrainingError for one there is not."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"--device {name}: not a device; such as cpu, cuda or cuda:1") from None
    if device.type == "cuda":
        _check_cuda(name, device)
    elif device.type != "cpu":
        raise TrainingError(f"--device {name}: models are trained on cpu or cuda")
    return device


def _check_cuda(name: str, device: torch.device) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise TrainingError(
            f"--device {name}: this torch ({torch.__version__}) is a build for CPUs; install one "
            "for GPUs (https://pytorch.org/get-started/locally), or leave --device out"
        )
    count = torch.cuda.device_count()
    if not torch.cuda.is_available() or (device.index or 0) >= count:
        raise TrainingError(
            f"--device {name}: torch sees {count} GPUs; look at nvidia-smi, or leave --device out"
        )


def describe_device(device: torch.device) -> str:
    """For the log and the manifest."""
    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return f"cpu, {torch.get_num_threads()} threads"


def pick_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes an LSTM in it, else float32.

    A CPU without AVX-512 has no such kernel: oneDNN raises at the first step. Where AVX-512 knows
    no bfloat16, oneDNN imitates it, which takes three times as long as float32.
    """
    if device.type != "cpu":
        return torch.bfloat16
    has_kernel = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no other way
    knows_it = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return torch.bfloat16 if has_kernel and knows_it else torch.float32

"""Chooses the network's device, once, and states the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from model.errors import DeviceError

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChoice:
    """A device, the type of weights and cache on it, and the reason."""

    device: torch.device
    dtype: torch.dtype
    reason: str


def select_device(name: DeviceName = "auto") -> DeviceChoice:
    """Chooses once, at the start.

    `auto` takes a GPU if there is one. A requested but absent `cuda` is an error, never a silent run
    on the CPU. Raises: DeviceError.
    """
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise DeviceError(
            "device is set to cuda, but torch finds no CUDA device: install the driver and a CUDA build of "
            "torch, or set it to auto or cpu"
        )
    if name == "cpu" or not present:
        reason = "cpu was asked for" if name == "cpu" else "there is no CUDA device"
        return DeviceChoice(device=torch.device("cpu"), dtype=torch.float32, reason=f"{reason}; float32")
    found = torch.cuda.get_device_name(0)
    dtype, why = (
        (torch.bfloat16, "bfloat16") if torch.cuda.is_bf16_supported() else (torch.float16, "float16")
    )
    return DeviceChoice(device=torch.device("cuda", 0), dtype=dtype, reason=f"{found} is present; {why}")

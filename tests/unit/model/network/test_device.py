"""The choice of a device, with a fake answer from torch."""

from __future__ import annotations

import pytest
import torch

from model.errors import DeviceError
from model.network.device import select_device


def test_auto_without_a_gpu_takes_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    choice = select_device("auto")
    assert (choice.device, choice.dtype) == (torch.device("cpu"), torch.float32)
    assert choice.reason == "there is no CUDA device; float32"


def test_cuda_asked_for_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no silent fallback to the CPU; the error says what to do."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="set it to auto or cpu"):
        select_device("cuda")


@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_gpu_is_taken_in_the_type_that_it_supports(
    monkeypatch: pytest.MonkeyPatch, name: str, bf16: bool, dtype: torch.dtype
) -> None:
    """bfloat16 if the GPU supports it, otherwise float16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _index: "H200")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    choice = select_device(name)  # type: ignore[arg-type]
    assert (choice.device, choice.dtype) == (torch.device("cuda", 0), dtype)
    assert choice.reason.startswith("H200 is present")


def test_cpu_asked_for_is_taken_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's choice overrides detection."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device("cpu").device == torch.device("cpu")

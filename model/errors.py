"""The exception tree of `model`: each error has a stable code and says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class ModelError(Exception):
    """Root of the package's exceptions. `retryable`: the same call may succeed later, unchanged."""

    code: ClassVar[str] = "model"
    retryable: ClassVar[bool] = False


class ConfigError(ModelError):
    """A model configuration is incomplete or contradicts itself."""

    code = "model_config"


class CheckpointError(ModelError):
    """A checkpoint cannot be loaded; the text lists every problem that was found, not only the first."""

    code = "checkpoint"

    def __init__(self, directory: str, problems: Sequence[str]) -> None:
        self.directory = directory
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the checkpoint in {directory} cannot be loaded:\n{listed}")


class DeviceError(ModelError):
    """The requested device is not available. Use `auto` or `cpu`, or repair the driver."""

    code = "device"


class PromptError(ModelError):
    """The images or the context of a study cannot be turned into a prompt."""

    code = "prompt"


class DecodingError(ModelError):
    """A decoder was asked for something that its model cannot do."""

    code = "decoding"


class QuantizationError(ModelError):
    """With weights in int8 the model writes other reports. Set `model.quantization: none`."""

    code = "quantization"


class OutOfMemoryError(ModelError):
    """Not even one report fits into the device's memory; free memory or choose a smaller model."""

    code = "out_of_memory"
    retryable = True

"""The files next to `config.json` in a published directory: the image processor, and stand-ins for weights.

A downloaded directory may contain adapters, weights in another format, a tokenizer in the older two-file
form, or Git LFS pointers instead of the files themselves. None of these loads; each has its remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.json_once import KeyTwice, read_json
from model.network.config import NetworkShape
from model.network.prompt import IMAGE_MEAN, IMAGE_STD

# transformers 4 and 5: the settings of the image processor at the top level of one file, or in a section of
# another.
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBounds:
    """Pixels of the smallest and the largest image that the processor makes; None if not stated."""

    least: int | None
    most: int | None


def image_bounds(directory: Path, shape: NetworkShape) -> ImageBounds:
    """Reads the settings of a base's own image processor.

    Raises:
        ConfigError if it normalises or divides images in another way than the network here.
    """
    name, stated = _processor(directory)
    expected = {
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
        "patch_size": shape.patch,
        "merge_size": shape.merge,
        "temporal_patch_size": shape.temporal_patch,
    }
    for key, value in expected.items():
        if stated.get(key) is not None and not _same(stated[key], value):
            raise ConfigError(
                f"{name} states {key} {stated[key]}, where Qwen2.5-VL has {value}: "
                "images would not be what the base has learnt on"
            )
    size = stated.get("size")
    edges = size if isinstance(size, Mapping) else {}
    least, most = (
        stated.get(key) or edges.get(edge)
        for key, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge"))
    )
    return ImageBounds(
        least=least if isinstance(least, int) else None, most=most if isinstance(most, int) else None
    )


def _processor(directory: Path) -> tuple[str, Mapping[str, Any]]:
    for name in _PROCESSORS:
        try:
            content = read_json((directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except KeyTwice as error:
            raise ConfigError(f"{name}: {error}") from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"{name} cannot be read as JSON") from error
        stated = content.get("image_processor", content) if isinstance(content, dict) else None
        if not isinstance(stated, dict):
            raise ConfigError(f"{name} must be a JSON object")
        return name, stated
    return _PROCESSORS[0], {}


def _same(stated: object, expected: object) -> bool:
    if not isinstance(expected, list):
        return stated == expected
    return (
        isinstance(stated, list)
        and len(stated) == len(expected)
        and all(
            isinstance(a, int | float) and abs(a - b) < 1e-4 for a, b in zip(stated, expected, strict=True)
        )
    )


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer, left in the place of a file that has not been fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS)) == _LFS
    except OSError:
        return False


def remedy(directory: Path) -> str:
    """What to do about missing weights or a missing tokenizer, to be appended to the problem; often empty."""
    present = {path.name for path in directory.glob("*") if path.is_file()} if directory.is_dir() else set()
    if any(is_lfs_pointer(directory / name) for name in present):
        return ": the directory holds Git LFS pointers; fetch the files (git lfs pull)"
    if "config.json" not in present and "adapter_config.json" in present:
        return ": it holds adapters; merge them into their base and save that (peft: merge_and_unload)"
    if "tokenizer.json" not in present and {"vocab.json", "merges.txt"} <= present:
        return (
            ": it has vocab.json and merges.txt; "
            "transformers' AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) writes tokenizer.json"
        )
    if not any(name.endswith(".safetensors") for name in present) and any(
        name.startswith("pytorch_model") for name in present
    ):
        return ": the weights are pickled (pytorch_model.bin), which is not read; save them as safetensors"
    return ""

"""Weights on disk: the Hugging Face safetensors layout, one file or shards with an index.

Lists the tensors without reading their values, under canonical names whatever prefixes the files use, and
writes them back in the published layout.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.json_once import KeyTwice, read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_ROWS = 8192  # rows of a matrix in memory while two are compared
FLOAT_TYPES = frozenset({"F32", "BF16", "F16"})

# Published files name the decoder `model.layers...` and the tower `visual...`; transformers since 4.52
# writes `model.language_model...` and `model.visual...`. Longest prefix first.
_RENAMED = {
    "model.language_model.": "model.language_model.",
    "model.visual.": "model.visual.",
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "lm_head.": "lm_head.",
    "visual.": "model.visual.",
    "model.": "model.language_model.",
}


def canonical_name(name: str) -> str:
    """The name of a tensor in transformers' current module tree."""
    for old, new in _RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def published_name(name: str) -> str:
    """The inverse, to the names that published Qwen2.5-VL files use."""
    if name.startswith("model.visual."):
        return name.removeprefix("model.")
    return name.replace("model.language_model.", "model.", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """The location of a tensor: its file and its name in it, its shape, and its type in safetensors'
    spelling.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(slots=True, kw_only=True)
class StoredWeights:
    """All tensors of a checkpoint by canonical name, and the problems with reading any of them."""

    files: tuple[Path, ...] = ()
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(torch.Size(tensor.shape).numel() for tensor in self.tensors.values())

    def equal(self, first: str, second: str) -> bool:
        """Whether two matrices have the same rows, up to the length of the shorter; read in parts."""
        a, b = self.tensors[first], self.tensors[second]
        if a.shape[1:] != b.shape[1:]:
            return False
        with safe_open(a.file, framework="pt") as one, safe_open(b.file, framework="pt") as other:
            left, right = one.get_slice(a.name), other.get_slice(b.name)
            rows = min(a.shape[0], b.shape[0])
            return all(
                torch.equal(left[i : min(i + _ROWS, rows)].float(), right[i : min(i + _ROWS, rows)].float())
                for i in range(0, rows, _ROWS)
            )

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with its canonical name, file by file, each in memory only while it is used."""
        for path in self.files:
            names = [(name, t.name) for name, t in self.tensors.items() if t.file == path]
            with safe_open(path, framework="pt") as file:
                for name, stored in names:
                    yield name, file.get_tensor(stored)


def scan_weights(directory: Path) -> StoredWeights:
    """Reads the headers of a checkpoint's files. Problems never raise: see `problems`."""
    weights = StoredWeights()
    weights.files, places = _weight_files(directory, weights.problems)
    for path in weights.files:
        try:
            with safe_open(path, framework="pt") as file:
                held = list(file.keys())
                weights.problems += _lost(places, path.name, held)
                for name in held:
                    part = file.get_slice(name)
                    canonical = canonical_name(name)
                    if canonical.endswith("rotary_emb.inv_freq"):
                        continue  # old files contain this buffer, which is computed here
                    if canonical in weights.tensors:
                        weights.problems.append(f"{name} occurs twice (in {path.name})")
                    weights.tensors[canonical] = StoredTensor(
                        file=path, name=name, shape=tuple(part.get_shape()), kind=part.get_dtype()
                    )
        except (SafetensorError, OSError) as error:
            weights.problems.append(f"{path.name} is not a complete safetensors file ({error})")
    return weights


def _lost(places: Mapping[str, str], file: str, held: Sequence[str]) -> list[str]:
    """The problem of a file that lacks tensors which the index places in it."""
    lost = sorted({name for name, place in places.items() if place == file} - set(held))
    return (
        [f"{INDEX} places {len(lost)} tensors in {file} that it lacks: {', '.join(lost[:5])}"] if lost else []
    )


def _weight_files(directory: Path, problems: list[str]) -> tuple[tuple[Path, ...], dict[str, str]]:
    """The files that contain the weights, and the file of each tensor according to the index."""
    single, index = directory / WEIGHTS, directory / INDEX
    if single.is_file() and not index.is_file():
        return (single,), {}
    if not index.is_file():
        problems.append(f"there is neither {WEIGHTS} nor {INDEX}")
        return (), {}
    try:
        stated = read_json(index.read_text(encoding="utf-8"))["weight_map"].items()
    except KeyTwice as error:
        problems.append(f"{INDEX}: {error}")
        return (), {}
    except (ValueError, KeyError, AttributeError, TypeError):
        problems.append(f"{INDEX} cannot be read: it must be a JSON object with a `weight_map`")
        return (), {}
    places = {str(tensor): str(file) for tensor, file in stated}
    names = sorted(set(places.values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        problems.append(f"{INDEX} names files of another folder: {', '.join(outside)}")
        return (), {}
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        problems.append(f"of {len(names)} weight files {len(missing)} are missing: {', '.join(missing)}")
    return tuple(directory / name for name in names if name not in missing), places


def weights_sha256(files: tuple[Path, ...]) -> str:
    """The hash that identifies the weights: hexadecimal, 64 characters.

    One file: the sha256 of its bytes. Shards: the sha256 of the lines that `sha256sum` prints for them,
    in order of name.
    """
    hashes = {}
    for path in sorted(files):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{h}  {name}\n" for name, h in hashes.items()).encode()).hexdigest()


def write_weights(
    directory: Path, tensors: Mapping[str, Tensor], *, shard_bytes: int, published_names: bool
) -> None:
    """Writes tensors (canonical names) as one file, or as shards of at most `shard_bytes` with an index.

    Each file appears complete or not at all. `published_names`: the prefixes of published Qwen2.5-VL
    files instead of transformers' current ones.
    """
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if size and size + tensor.nbytes > shard_bytes:
            shards.append({})
            size = 0
        stored = tensor.detach().cpu().contiguous()
        shards[-1][published_name(name) if published_names else name] = stored
        size += tensor.nbytes
    many = len(shards) > 1
    names = [
        f"model-{i:05}-of-{len(shards):05}.safetensors" if many else WEIGHTS
        for i in range(1, len(shards) + 1)
    ]
    for old in directory.glob("model*.safetensors*"):
        if old.name not in names and not (many and old.name == INDEX):
            old.unlink()
    for name, shard in zip(names, shards, strict=True):
        save_file(shard, directory / f"{name}.partial", metadata={"format": "pt"})
        os.replace(directory / f"{name}.partial", directory / name)
    if many:
        weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")

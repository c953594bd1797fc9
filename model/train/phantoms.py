"""Phantoms as training examples: rendered once, in chunks, and stored as arrays next to the run."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.phantom.example import training_example
from model.phantom.studies import Example
from model.train.config import PhantomData, TrainingConfigError
from model.train.whole_file import whole_file

CHUNK = 500  # phantoms per file
_SAY_EVERY = 8  # files between two lines of progress


class PhantomExamples(Sequence[Example]):
    """The phantoms of consecutive seeds. Images stay in memory-mapped files, so thousands take little
    memory.
    """

    def __init__(self, data: PhantomData, folder: Path) -> None:
        self._text = data.text
        self._first = data.first_seed
        self._size = data.image_size
        self._images: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._records: list[dict[str, Any]] = []
        for chunk in _chunks(data):
            stem = folder / _stem(chunk, data.image_size)
            self._images.append(np.load(stem.with_suffix(".npy"), mmap_mode="r"))
            lines = stem.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
            self._records += [json.loads(line) for line in lines]
        self._records = self._records[: data.count]

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self._example(i) for i in range(*index.indices(len(self)))]
        return self._example(index)

    def __iter__(self) -> Iterator[Example]:
        return (self._example(index) for index in range(len(self)))

    def answer_length(self, index: int) -> int:
        """Length (characters) of a study's answer."""
        return len(self._records[index][self._text])

    def finish_check(self) -> None:
        """Nothing: a phantom is never bad."""

    @property
    def undecodable(self) -> frozenset[int]:
        """None."""
        return frozenset()

    def skip_undecodable(self, places: Iterable[int]) -> None:
        """Nothing: a phantom is never bad."""

    def identity(self) -> str:
        """Seeds and size: a phantom never changes."""
        return f"phantoms {self._first} {self._size}"

    def without_images(self, index: int) -> Example:
        """A study with only its texts."""
        record = self._records[index]
        return Example(
            id=f"phantom-{record['seed']}",
            images=(),
            views=tuple(record["views"]),
            answer=record[self._text],
            truth=tuple(finding_from(value) for value in record["truth"]),
        )

    def _example(self, index: int) -> Example:
        example = self.without_images(index)
        images = self._images[index // CHUNK][index % CHUNK]  # [2, S, S]
        return replace(example, images=tuple(images[: len(example.views)]))


def finding_from(value: dict[str, Any]) -> Finding:
    """A finding from its JSON form."""
    return Finding(
        concept=value["concept"],
        presence=Presence(value["presence"]),
        laterality=Laterality(value["laterality"]) if value["laterality"] else None,
        location=value["location"],
        severity=Severity(value["severity"]) if value["severity"] else None,
        change=Change(value["change"]) if value["change"] else None,
    )


def render_phantoms(
    data: PhantomData, folder: Path, *, processes: int, say: Callable[[str], None] | None = None
) -> PhantomExamples:
    """Renders the missing chunks and opens the whole set.

    Args:
        data: seeds, size of the images in pixels and which text is the answer. folder: where the chunks are
        stored; overlapping sets share them. processes: how many render at the same time. say: called with a
        line of text now and then while chunks are rendered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        chunk
        for chunk in _chunks(data)
        if not (folder / _stem(chunk, data.image_size)).with_suffix(".jsonl").exists()
    ]
    work = partial(_render_chunk, size=data.image_size, folder=folder)
    with ExitStack() as stack:
        run: Callable[..., Iterable[None]] = map
        if processes > 1 and len(missing) > 1:
            context = multiprocessing.get_context("spawn")
            run = stack.enter_context(ProcessPoolExecutor(processes, mp_context=context)).map
        for done, _ in enumerate(run(work, missing), start=1):
            if say is not None and (done % _SAY_EVERY == 0 or done == len(missing)):
                say(f"{done * CHUNK} of {len(missing) * CHUNK} rendered")
    return PhantomExamples(data, folder)


def _chunks(data: PhantomData) -> list[int]:
    if data.first_seed % CHUNK:
        raise TrainingConfigError(f"phantoms.first_seed must be a multiple of {CHUNK}, not {data.first_seed}")
    return list(range(data.first_seed, data.first_seed + data.count, CHUNK))


def _stem(first: int, size: int) -> str:
    return f"{size}px-{first:08d}.x"


def _render_chunk(first: int, *, size: int, folder: Path) -> None:
    """Writes one chunk; the text file comes last, so its existence means that the chunk is complete."""
    stem = folder / _stem(first, size)
    images = np.zeros((CHUNK, 2, size, size), dtype=np.uint8)
    lines = []
    for offset in range(CHUNK):
        example = training_example(first + offset, size=size)
        for view, pixels in enumerate(example.images):
            images[offset, view] = pixels
        record = {
            "seed": first + offset,
            "views": list(example.views),
            "normalised": example.normalised,
            "dictated": example.dictated,
            "truth": [_plain(finding) for finding in example.truth],
        }
        lines.append(json.dumps(record))
    with whole_file(stem.with_suffix(".npy")) as stream:
        np.save(stream, images)
    with whole_file(stem.with_suffix(".jsonl")) as stream:
        stream.write("\n".join(lines).encode())


def _plain(finding: Finding) -> dict[str, Any]:
    return asdict(finding)

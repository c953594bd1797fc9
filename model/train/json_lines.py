"""Reports in JSON lines with image files beside them, as training examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image

from model.phantom.studies import Example
from model.train.config import TrainingConfigError

_REQUIRED = ("id", "images", "findings", "impression")


class JsonLinesExamples(Sequence[Example]):
    """Lines {id, images[], views[]?, indication?, comparison?, findings, impression}.

    Images are read when they are asked for.

    Image paths are relative to the file. Without `views` the first image is frontal, the second lateral.
    """

    def __init__(self, file: Path) -> None:
        """Raises: TrainingConfigError with the number of the first line that is not valid."""
        self._folder = file.parent
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise TrainingConfigError(f"{file}: cannot be read ({error.strerror})") from error
        self._records = [
            _record(file, n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()
        ]

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self._example(record) for record in self._records[index]]
        return self._example(self._records[index])

    def __iter__(self) -> Iterator[Example]:
        return (self._example(record) for record in self._records)

    def image_count(self, index: int) -> int:
        """Images of a study, without reading them."""
        return len(self._records[index]["images"])

    def _example(self, record: dict[str, Any]) -> Example:
        images = []
        for name in record["images"]:
            with Image.open(self._folder / name) as opened:
                images.append(np.asarray(opened.convert("L"), dtype=np.uint8))
        views = record.get("views") or ["frontal", "lateral", *["unknown"] * len(images)][: len(images)]
        return Example(
            id=str(record["id"]),
            images=tuple(images),
            views=tuple(views),
            answer=f"Findings: {record['findings'].strip()} Impression: {record['impression'].strip()}",
            indication=record.get("indication"),
            comparison=record.get("comparison"),
        )


def _record(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise TrainingConfigError(f"{file}, line {number}: not JSON ({error.msg})") from error
    missing = [key for key in _REQUIRED if not isinstance(record, dict) or key not in record]
    if missing:
        raise TrainingConfigError(f"{file}, line {number}: lacks {', '.join(missing)}")
    if not record["images"]:
        raise TrainingConfigError(f"{file}, line {number}: names no image")
    return dict(record)

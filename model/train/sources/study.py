"""The common form of a study from any source, and its conversion to a line of a data file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import ModelError
from model.train.study_line import record_problem


class SourceError(ModelError):
    """A data set is not in its published layout; the message names the missing or unreadable file."""

    code = "data_source"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStudy:
    """A study of a published data set; paths are complete. order: sorts a patient's studies by time."""

    id: str
    images: tuple[Path, ...]
    views: tuple[str, ...]
    findings: str
    impression: str
    indication: str = ""
    comparison: str = ""
    language: str = "en"
    split: str = ""
    patient: str = ""
    order: str = ""
    date: str = ""


@dataclass(slots=True, kw_only=True)
class Written:
    """How many studies were written, and how many were left out for which reason."""

    studies: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def write_lines(
    studies: Iterable[SourceStudy], file: Path, *, priors: int = 0, splits: Sequence[str] = ()
) -> Written:
    """Writes studies as JSON lines, with image paths relative to the file.

    priors: how many earlier studies of the same patient a line may contain, the newest first. splits: only
    these splits of the source; all if empty. The file appears complete or not at all.
    """
    written = Written()
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(file.suffix + ".new")
    with fresh.open("w", encoding="utf-8") as stream:
        for study, earlier in _with_priors(studies, priors):
            if splits and study.split not in splits:
                written.left_out[f"split {study.split or 'not stated'}"] += 1
                continue
            reason = _unusable(study)
            record = {} if reason else _record(study, earlier, file.parent.resolve())
            if reason := reason or record_problem(record):
                written.left_out[reason] += 1
                continue
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            written.studies += 1
    fresh.replace(file)
    return written


def _with_priors(
    studies: Iterable[SourceStudy], count: int
) -> Iterator[tuple[SourceStudy, list[SourceStudy]]]:
    if not count:
        yield from ((study, []) for study in studies)
        return
    by_patient: dict[str, list[SourceStudy]] = {}
    for study in studies:
        by_patient.setdefault(study.patient or study.id, []).append(study)
    for own in by_patient.values():
        own.sort(key=lambda study: study.order)
        for place, study in enumerate(own):
            # Of two studies with the same time neither is the earlier one.
            earlier = [one for one in own[:place] if one.order < study.order]
            yield study, earlier[::-1][:count]


def _unusable(study: SourceStudy) -> str:
    if not study.images:
        return "no image"
    if not study.findings and not study.impression:
        return "no report"
    return "" if all(os.path.isfile(image) for image in study.images) else "an image file is not there"


def _record(study: SourceStudy, earlier: Sequence[SourceStudy], folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": study.id,
        "images": [_relative(image, folder) for image in study.images],
        "views": list(study.views),
        "findings": study.findings,
        "impression": study.impression,
        "language": study.language,
    }
    optional: Mapping[str, str] = {
        "indication": study.indication, "comparison": study.comparison, "split": study.split,
    }  # fmt: skip
    record |= {name: text for name, text in optional.items() if text}
    if earlier:
        record["priors"] = [_prior(one, folder) for one in earlier]
    return record


def _prior(study: SourceStudy, folder: Path) -> dict[str, Any]:
    text = " ".join(part for part in (study.findings, study.impression) if part)
    images = [_relative(image, folder) for image in study.images if os.path.isfile(image)]
    return {**({"date": study.date} if study.date else {}), "images": images, "report": text}


def _relative(image: Path, folder: Path) -> str:
    return os.path.relpath(image.resolve(), folder)

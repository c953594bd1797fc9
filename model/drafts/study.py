"""A study as it is put to the network, and where a stream of them comes from. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key")
View = Literal["frontal", "lateral", "unknown"]


class Image(Protocol):
    """An image as the reporter takes it: uint8 `[H, W]`, bright is dense, and its view."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...

    @property
    def view(self) -> View: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """What is known besides the pixels; empty means unknown."""

    indication: str = ""
    comparison: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study(Generic[Key]):
    """A study to draft: at most one frontal image and one lateral one. key: what its owner knows it by."""

    key: Key
    images: Sequence[Image]
    context: ReportContext | None = None


class StudySource(Protocol[Key]):
    """Where a stream takes its studies from, while it is busy with others."""

    def take(self, room: int, *, idle: bool) -> Sequence[Study[Key]] | None:
        """Return at most `room` studies; none where there are none now; None where no more will come.

        Called between two forwards, by the thread that iterates over the stream, and not any more after
        None. idle: nothing is in hand, so the source may wait for a study; otherwise the network waits
        for the answer.
        """
        ...


class StudyList(Generic[Key]):
    """The source that is known beforehand: a list, or anything to iterate over."""

    def __init__(self, studies: Iterable[Study[Key]]) -> None:
        self._studies = iter(studies)

    def take(self, room: int, *, idle: bool) -> Sequence[Study[Key]] | None:
        """Return the next `room` studies; None at the end."""
        return list(islice(self._studies, room)) or None

"""A study as the network's input, and the source of a stream of studies. Nothing here loads torch."""

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
    """An image in the form that the reporter takes: uint8 `[H, W]`, bright is dense, and its view."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...

    @property
    def view(self) -> View: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """The context besides the pixels; empty means unknown."""

    indication: str = ""
    comparison: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study(Generic[Key]):
    """A study to draft: at most one frontal image and one lateral one. key: the owner's identifier for it.

    rank: a study of a lower rank is decoded first. yields: nobody waits for its draft; it gives its place in
    decoding to a study that does not yield, and starts again later.
    """

    key: Key
    images: Sequence[Image]
    context: ReportContext | None = None
    rank: int = 0
    yields: bool = False


class StudySource(Protocol[Key]):
    """The source of a stream's studies, queried while others are in progress."""

    def take(self, room: int, *, idle: bool) -> Sequence[Study[Key]] | None:
        """Return at most `room` studies; an empty list if there are none now; None if no more will come.

        Called between two forwards, by the thread that iterates over the stream, and not again after None.
        idle: nothing is in progress, so the source may wait for a study; otherwise the network waits
        for the answer.
        """
        ...


class StudyList(Generic[Key]):
    """A source that is known in advance: a list, or anything to iterate over."""

    def __init__(self, studies: Iterable[Study[Key]]) -> None:
        self._studies = iter(studies)

    def take(self, room: int, *, idle: bool) -> Sequence[Study[Key]] | None:
        """Return the next `room` studies; None at the end."""
        return list(islice(self._studies, room)) or None

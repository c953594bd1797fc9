"""Chooses the frontal and the lateral image to read, and states why each other one is left out. Pure.

Images for presentation come before images for processing, originals before copies, ordinary exposures before
special ones, an upright PA before an AP before special views. Only among equals does the newest win: a
repeated exposure replaces the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from agent.objects.films.choosing.copies import NAMES, Copy, copy_of
from agent.objects.films.choosing.view import SPECIAL, ViewReading, read_view
from agent.objects.films.routing.vocabulary import Vocabulary
from dicom_sr.attributes import integer, text

# A copy with less than this share of the pixels of the largest image of its view is a reduced one.
_REDUCED = 0.4
_SUPINE = re.compile(
    r"supine|liegend|portable|bedside|\bport\b|couch|decubit|lit\b|letto|bed\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """The header of one eligible image. arrival: grows with the time of receipt."""

    header: Dataset
    view: ViewReading
    copy: Copy
    arrival: int

    @property
    def uid(self) -> str:
        """Its SOP Instance UID."""
        return text(self.header, "SOPInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """An image that is not read, with a short reason for the reader."""

    film: Film
    why: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmChoice:
    """The images to try for each view, the best first, and those that are never read."""

    frontal: tuple[Film, ...]
    lateral: tuple[Film, ...]
    left_out: tuple[LeftOut, ...]


def film_of(header: Dataset, arrival: int, vocabulary: Vocabulary | None = None) -> Film:
    """Return an image's criteria for the choice."""
    return Film(
        header=header,
        view=read_view(header, vocabulary),
        copy=copy_of(header, vocabulary),
        arrival=arrival,
    )


def choose_films(films: Sequence[Film]) -> FilmChoice:
    """Sort the images of each view, and list those that are never read."""
    left_out = [LeftOut(film=one, why=NAMES[one.copy.kind]) for one in films if one.copy.unreadable]
    usable = [one for one in films if not one.copy.unreadable]
    left_out += [LeftOut(film=one, why="oblique view") for one in usable if one.view.projection == "oblique"]
    usable = [one for one in usable if one.view.projection != "oblique"]
    present = {one.uid for one in films}
    largest = max((_pixels(one) for one in usable), default=0)

    def key(film: Film) -> tuple[object, ...]:
        return _rank(film, present, largest)

    stated = [one for one in usable if one.view.view == "frontal"]
    silent = [one for one in usable if one.view.view == "unknown"]
    # An image that states no view is used if no ordinary film is stated to be frontal.
    frontal = [*sorted(stated, key=key), *sorted(silent, key=key)]
    if silent and all(one.view.special or one.copy.kind for one in stated):
        frontal = [*sorted(silent, key=key), *sorted(stated, key=key)]
    lateral = sorted((one for one in usable if one.view.view == "lateral"), key=key)
    return FilmChoice(frontal=tuple(frontal), lateral=tuple(lateral), left_out=tuple(left_out))


def why_behind(film: Film, chosen: Film | None) -> str:
    """Return why an image that could have been read was not, given the chosen one of its view."""
    if film.copy.kind:
        return NAMES[film.copy.kind]
    if film.view.special:
        return f"{film.view.projection} view"
    if chosen is not None and chosen.uid in film.copy.sources:
        return "copy of the image that was read"
    if film.copy.derived or (film.copy.capture and chosen is not None and not chosen.copy.capture):
        return NAMES["derived"]
    if film.view.view == "unknown":
        return "view not stated"
    if chosen is not None and film.view.projection != chosen.view.projection and film.view.view == "frontal":
        return (
            f"{film.view.projection.upper() or 'other'} view beside a {chosen.view.projection.upper()} view"
        )
    return f"another {film.view.view} image"


def _rank(film: Film, present: set[str], largest: int) -> tuple[object, ...]:
    """Return the sort key; the smallest is the best."""
    copy, view = film.copy, film.view
    made_here = bool(copy.sources & present)
    pixels = _pixels(film)
    return (
        bool(copy.kind and copy.kind != "for_processing"),
        copy.kind == "for_processing",
        copy.derived or made_here,
        copy.capture,
        view.special,
        SPECIAL.index(view.projection) if view.projection in SPECIAL else 0,
        bool(view.contradicted_by),
        0 < pixels < _REDUCED * largest,
        _posture(film),
        tuple(-int(digit) for digit in taken(film.header).ljust(20, "0")),
        -film.arrival,
    )


def _posture(film: Film) -> int:
    """Return 0 for an upright PA film, then AP upright or unstated, then AP supine."""
    if film.view.projection in ("pa", "lateral"):
        return 0
    words = " ".join(text(film.header, one) for one in ("SeriesDescription", "ProtocolName", "ViewPosition"))
    return 2 if _SUPINE.search(words) else 1


def _pixels(film: Film) -> int:
    return (integer(film.header, "Rows") or 0) * (integer(film.header, "Columns") or 0)


def taken(header: Dataset) -> str:
    """Return the acquisition's date and time as digits that sort by time; empty if unknown."""
    for date, time in (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime")):
        digits = re.sub(r"\D", "", text(header, date)), re.sub(r"\D", "", text(header, time))
        if len(digits[0]) == 8 and digits[1]:
            return (digits[0] + digits[1])[:20]
    return ""

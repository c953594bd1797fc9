"""Selects, decodes and checks the images that the network reads, from a study's eligible ones.

An image that shows no film is left out if another of its view can replace it; otherwise the study fails with
that image's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from agent.foundation.errors import NoUsableImage
from agent.foundation.image_errors import ImageNotPlausible
from agent.objects.films.choosing.choose import Film, FilmChoice, LeftOut, choose_films, film_of, why_behind
from agent.objects.films.choosing.copies import NAMES
from agent.objects.films.plausibility.gate import check, marks_on
from agent.objects.films.plausibility.looks import Mark
from agent.objects.films.routing.vocabulary import Vocabulary
from agent.objects.pixels import StudyImage, load_header, load_image
from dicom_sr.charset import guessed_as
from model.drafts.study import View

# Images of one view that are tried before the study fails.
_MOST_TRIED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """One eligible image as stored with the draft; `why` is empty for one that was read."""

    sop_instance_uid: str
    view: str
    projection: str
    read: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadStudy:
    """The images to read, the frontal one first, the flags about them, and all eligible images."""

    images: tuple[StudyImage, ...]
    marks: tuple[Mark, ...]
    lines: tuple[ImageLine, ...]


def read_study(paths: Sequence[Path], *, least_px: int, vocabulary: Vocabulary | None = None) -> ReadStudy:
    """Choose among eligible images, given in the order of arrival, and decode the chosen ones.

    Raises:
        UnreadableImage: a header or a chosen image cannot be decoded; the study is not read from the rest.
        ImageNotPlausible: no image of the study has a film on it.
        NoUsableImage: there are copies, special exposures or oblique views only.
    """
    headers = [load_header(path) for path in paths]
    films = [film_of(header, arrival, vocabulary) for arrival, header in enumerate(headers)]
    choice = choose_films(films)
    left_out = list(choice.left_out)
    read: list[tuple[Film, StudyImage]] = []
    failures: list[ImageNotPlausible] = []
    for candidates in (choice.frontal, choice.lateral):
        for place, film in enumerate(candidates[:_MOST_TRIED]):
            image = load_image(paths[film.arrival], film.view.view)
            try:
                check(image, least_px=least_px)
            except ImageNotPlausible as error:
                failures.append(error)
                left_out.append(LeftOut(film=film, why=f"image without content ({error.code})"))
                continue
            read.append((film, image))
            left_out += [LeftOut(film=one, why=why_behind(one, film)) for one in candidates[place + 1 :]]
            break
    if not read:
        raise failures[0] if failures else NoUsableImage(_why_none(choice))
    return ReadStudy(
        images=tuple(image for _film, image in read),
        marks=(
            *_choice_marks(read, left_out),
            *_charset_marks(headers),
            *(mark for _film, image in read for mark in marks_on(image)),
        ),
        lines=_lines(films, read, left_out),
    )


def _why_none(choice: FilmChoice) -> str:
    kinds = ", ".join(sorted({one.why for one in choice.left_out})) or "no image"
    return f"the study has no image that can be read: {kinds}"


def _choice_marks(read: Sequence[tuple[Film, StudyImage]], left_out: Sequence[LeftOut]) -> list[Mark]:
    marks = []
    for film, _image in read:
        if film.view.contradicted_by:
            against = ", ".join(film.view.contradicted_by)
            marks.append(
                Mark(
                    code="view_contradiction",
                    text=f"The image's view is contradictory: {film.view.stated_by} says "
                    f"{_spoken(film.view.view)}, {against} otherwise.",
                )
            )
        if film.view.special:
            text = f"Drafted from a {film.view.projection} view: there is no ordinary frontal image."
            marks.append(Mark(code="special_view", text=text))
        lesser = film.copy.kind or ("capture" if film.copy.capture else "")
        if lesser:
            text = f"The view has no ordinary image; what was read is a lesser one: {NAMES[lesser]}."
            marks.append(Mark(code="copy_read", text=text))
    if left_out:
        counted = Counter(one.why for one in left_out)
        words = "; ".join(f"{count} x {why}" for why, count in counted.items())
        marks.append(Mark(code="images_left_out", text=f"Images of the study that were not read: {words}."))
    return marks


def _charset_marks(headers: Sequence[Dataset]) -> list[Mark]:
    """Warn that names and texts were read with a guessed character set: the documents repeat them."""
    guesses = sorted({encoding for header in headers for encoding in guessed_as(header)})
    if not guesses:
        return []
    text = f"The images declare no character set for their texts, which were read as {', '.join(guesses)}."
    return [Mark(code="character_set_guessed", text=f"{text} Check the patient's name.")]


def _spoken(view: View) -> str:
    return "nothing" if view == "unknown" else view


def _lines(
    films: Sequence[Film], read: Sequence[tuple[Film, StudyImage]], left_out: Sequence[LeftOut]
) -> tuple[ImageLine, ...]:
    chosen = {id(film) for film, _image in read}
    reasons = {id(one.film): one.why for one in left_out}
    return tuple(
        ImageLine(
            sop_instance_uid=film.uid,
            view=film.view.view,
            projection=film.view.projection,
            read=id(film) in chosen,
            why=reasons.get(id(film), "" if id(film) in chosen else "not needed"),
        )
        for film in films
    )

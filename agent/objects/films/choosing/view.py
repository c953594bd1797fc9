"""The projection of an image, from all relevant attributes of its header. Pure.

ViewPosition, the view's codes, the patient's orientation and the descriptions are evaluated in this order; if
they disagree, the first counts and the film is flagged.
Source: PS3.3 C.8.1.2.1 and C.8.11.5.1.1 (View Position), C.7.6.1.1.1 (Patient Orientation); PS3.16 CID 4010.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydicom import Dataset

from agent.objects.films.routing.codes import view_meaning
from agent.objects.films.routing.vocabulary import Vocabulary, built_in
from dicom_sr.attributes import items, text, texts
from model.drafts.study import View

Special = Literal["oblique", "lordotic", "decubitus", "axial"]
# Projections ranked after an ordinary film of their view, the worst last; an oblique one is not a frontal
# film.
SPECIAL: tuple[Special, ...] = ("lordotic", "decubitus", "axial", "oblique")
DESCRIPTIONS = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "PerformedProcedureStepDescription",
)
_FRONTAL = frozenset({"pa", "ap", "frontal"})
# Words for a bedside film mean frontal if nothing else is stated.
_BEDSIDE = "bedside"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewReading:
    """The view by the header.

    projection: `pa`, `ap`, `frontal`, `lateral`, one of the special views, or empty. stated_by: keyword of
    the attribute that states it. contradicted_by: keywords of those that state another.
    """

    view: View
    projection: str = ""
    stated_by: str = ""
    contradicted_by: tuple[str, ...] = ()

    @property
    def special(self) -> bool:
        """Whether it is a projection ranked after the ordinary ones."""
        return self.projection in SPECIAL


def read_view(header: Dataset, vocabulary: Vocabulary | None = None) -> ViewReading:
    """Return the view; `unknown` if the header states none, or two at once."""
    said = [one for one in _statements(header, vocabulary or built_in()) if one[1]]
    if not said:
        return ViewReading(view="unknown")
    keyword, projection = said[0]
    # The orientation only distinguishes frontal from lateral: a special projection named elsewhere is more
    # specific.
    finer = next((one for one in said if one[1] in SPECIAL), None)
    if finer is not None and projection in ("frontal", "pa", "ap", "lateral"):
        keyword, projection = finer
    view = view_of_projection(projection)
    against = tuple(
        other for other, words in said if view_of_projection(words) != view and projection not in SPECIAL
    )
    return ViewReading(view=view, projection=projection, stated_by=keyword, contradicted_by=against)


def view_of(header: Dataset) -> View:
    """Return the view alone, by the built-in words."""
    return read_view(header).view


def view_by_position(view_position: str) -> View:
    """Return the view stated by View Position alone, for rows without other attributes of the view."""
    return view_of_projection(_projection(built_in().read(view_position).views))


def view_of_projection(projection: str) -> View:
    """Return the view that a projection belongs to; a decubitus film is a frontal projection."""
    if projection == "lateral":
        return "lateral"
    return "frontal" if projection else "unknown"


def _statements(header: Dataset, vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    yield "ViewPosition", _projection(vocabulary.read(text(header, "ViewPosition")).views)
    for item in items(header, "ViewCodeSequence"):
        meaning = view_meaning(text(item, "CodeValue"), text(item, "CodingSchemeDesignator"))
        views = vocabulary.read(meaning or text(item, "CodeMeaning")).views
        yield "ViewCodeSequence", _projection(views)
    yield "PatientOrientation", _by_orientation(texts(header, "PatientOrientation"))
    for keyword in DESCRIPTIONS:
        yield keyword, _projection(vocabulary.read(text(header, keyword)).views)


def _projection(views: frozenset[str]) -> str:
    """Return the one projection that the words of an attribute mean; empty if they mean two."""
    for special in SPECIAL:
        if special in views:
            return special
    frontal = views & _FRONTAL
    if frontal and "lateral" in views:
        return ""
    if "lateral" in views:
        return "lateral"
    if frontal:
        exact = frontal - {"frontal"}
        return next(iter(exact)) if len(exact) == 1 else "frontal"
    return "ap" if _BEDSIDE in views else ""


def _by_orientation(directions: tuple[str, ...]) -> str:
    """Rows of a frontal film run between left and right, those of a lateral one between front and back."""
    axes = {one.strip().upper()[:1] for one in directions}
    sideways, deep = bool(axes & {"L", "R"}), bool(axes & {"A", "P"})
    if len(directions) != 2 or sideways == deep:
        return ""
    return "lateral" if deep else "frontal"

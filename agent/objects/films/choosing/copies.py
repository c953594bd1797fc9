"""Classifies an image: an ordinary film, a copy of one, a special exposure, or not a film. Pure.

Source: PS3.3 C.7.6.1.1.2 (Image Type), C.8.11.7 (intent), C.7.6.1.1.4 (Source Image Sequence).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from agent.objects.films.choosing.view import DESCRIPTIONS
from agent.objects.films.routing.vocabulary import Vocabulary, built_in
from dicom_sr.attributes import items, text, texts

# Never read: they do not show the chest as in the network's training images.
UNREADABLE_COPIES = ("test", "cad", "bone", "inverted", "stitched")
# Read only if there is nothing better.
LESSER_COPIES = ("negative", "expiration", "soft_tissue", "dual_energy", "enhanced", "annotated", "reduced")
NAMES = {
    "test": "test exposure",
    "cad": "result of a computer aid, screen capture or document",
    "bone": "bone image of a dual-energy exposure",
    "inverted": "inverted copy",
    "stitched": "stitched image",
    # "Chest neg" may mean a negative, or a film without a finding: the pixels decide (`looks_inverted`).
    "negative": "image described as a negative",
    "expiration": "film in expiration",
    "dual_energy": "dual-energy image",
    "soft_tissue": "soft-tissue image",
    "enhanced": "processed copy",
    "annotated": "annotated copy",
    "reduced": "reduced copy",
    "derived": "derived copy",
    "for_processing": "image for processing",
    "capture": "secondary capture",
}
_WORDS_IN = (*DESCRIPTIONS, "DerivationDescription")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What an image is, if not an ordinary film.

    kind: a key of `NAMES`, the most serious one; empty for an ordinary film. derived: ImageType says so, or
    it names
    a source. capture: a secondary capture. sources: SOP Instance UIDs that it was made from.
    """

    kind: str = ""
    derived: bool = False
    capture: bool = False
    sources: frozenset[str] = frozenset()

    @property
    def unreadable(self) -> bool:
        """Whether it is never read."""
        return self.kind in UNREADABLE_COPIES


def copy_of(header: Dataset, vocabulary: Vocabulary | None = None) -> Copy:
    """Return the classification by the header."""
    words = vocabulary or built_in()
    types = tuple(one.strip().upper() for one in texts(header, "ImageType"))
    named: set[str] = set()
    for keyword in _WORDS_IN:
        named |= words.read(text(header, keyword)).copies
    for one in types[2:]:
        named |= words.read(one).copies
    if text(header, "QualityControlImage").upper() == "YES":
        named.add("test")
    derived = "DERIVED" in types[:1]
    # A detector also writes "Chest PA bone" for an exposure technique; only a derived image shows bone alone.
    kind = next((one for one in (*UNREADABLE_COPIES, *LESSER_COPIES) if one in named), "")
    if not kind and text(header, "PresentationIntentType").upper() == "FOR PROCESSING":
        kind = "for_processing"
    sources = {
        uid
        for item in items(header, "SourceImageSequence")
        if (uid := text(item, "ReferencedSOPInstanceUID"))
    }
    return Copy(
        kind=kind,
        derived=derived,
        capture=text(header, "SOPClassUID") == SecondaryCaptureImageStorage or "SECONDARY" in types[1:2],
        sources=frozenset(sources),
    )

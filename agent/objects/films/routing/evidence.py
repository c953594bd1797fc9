"""The evidence in an image's attributes about the region that it shows, in order of weight. Pure.

The image's own attributes outrank the series', which outrank the study's: a study "XR Chest" may contain a
film of a hand. An attribute that is absent, empty, or says UNKNOWN or similar is not evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from agent.objects.films.routing.codes import region_meaning
from agent.objects.films.routing.vocabulary import NOT_A_PATIENT, Reading, Vocabulary
from agent.objects.films.routing.words import words_of
from agent.objects.header import Code, Header
from dicom_sr.charset_guess import readings


class Rank(IntEnum):
    """The level that an attribute belongs to; a smaller number weighs more."""

    IMAGE = 1
    SERIES = 2
    STUDY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence of one attribute.

    attribute: its keyword. value: its text, or code with meaning. regions: the regions that it names; empty
    if its words are not understood. unknown: those words. character_set: the guessed character set; empty if
    it was declared.
    """

    attribute: str
    rank: Rank
    value: str
    regions: frozenset[str]
    unknown: tuple[str, ...] = ()
    character_set: str = ""


_TEXTS = (
    ("BodyPartExamined", "body_part_examined", Rank.IMAGE),
    ("AcquisitionDeviceProcessingDescription", "processing_description", Rank.IMAGE),
    ("SeriesDescription", "series_description", Rank.SERIES),
    ("ProtocolName", "protocol_name", Rank.SERIES),
    ("PerformedProcedureStepDescription", "performed_step_description", Rank.SERIES),
    ("StudyDescription", "study_description", Rank.STUDY),
)
_CODES = (
    ("AnatomicRegionSequence", "anatomic_regions", Rank.IMAGE),
    ("PrimaryAnatomicStructureSequence", "primary_structures", Rank.IMAGE),
    ("ViewCodeSequence", "view_codes", Rank.IMAGE),
    ("PerformedProtocolCodeSequence", "protocol_codes", Rank.SERIES),
    ("ProcedureCodeSequence", "procedure_codes", Rank.STUDY),
)
# These attributes also contain words that do not name a region, so unknown words mean nothing.
_OTHERWISE_SILENT = frozenset({"AcquisitionDeviceProcessingDescription", "ViewCodeSequence"})

# Any other species is an animal; CID 7454 has no other human one.
_HUMAN = frozenset(
    {
        "homo", "sapiens", "human", "humans", "mensch", "humain", "humano", "humana", "umano", "menneske",
        "manniska", "ihminen", "czlowiek", "clovek", "ember", "insan", "ανθρωπος", "человек", "人", "ヒト",
        "人类", "人類", "사람", "unknown", "other", "none", "na", "undefined",
    }
)  # fmt: skip
_HUMAN_CODES = frozenset({"", "337915000", "L-85B00"})


def evidence_of(header: Header, vocabulary: Vocabulary) -> tuple[Evidence, ...]:
    """Return the evidence about the region, in descending order of weight."""
    return tuple(sorted(_all(header, vocabulary), key=lambda one: one.rank))


def _all(header: Header, vocabulary: Vocabulary) -> Iterator[Evidence]:
    for attribute, field, rank in _CODES:
        for code in getattr(header, field):
            yield from _of_code(attribute, rank, code, vocabulary)
    yield from _of_the_subject(header)
    undeclared = dict(header.undeclared)
    for attribute, field, rank in _TEXTS:
        text = getattr(header, field)
        # Multiple values are read as one text: CHEST\ABDOMEN names two regions.
        reading, text, encoding = _read(vocabulary, text, undeclared.get(field))
        yield from _of_reading(attribute, rank, text, reading, encoding)
    for text in header.requested_procedures:
        reading = vocabulary.read(text)
        yield from _of_reading("RequestedProcedureDescription", Rank.STUDY, text, reading, "")


def _of_the_subject(header: Header) -> Iterator[Evidence]:
    """Yield the evidence that the subject is not a patient.

    Source: PS3.3 C.7.6.1 (Quality Control Image), C.7.1.1 (Patient Species).
    """
    species = words_of(header.species)
    animal = bool(species) and not _HUMAN.intersection(species)
    for attribute, value, is_so in (
        ("QualityControlImage", header.quality_control_image, header.quality_control_image.upper() == "YES"),
        ("PatientSpeciesDescription", header.species, animal),
        ("PatientSpeciesCodeSequence", header.species_code, header.species_code not in _HUMAN_CODES),
    ):
        if is_so:
            yield Evidence(
                attribute=attribute, rank=Rank.IMAGE, value=value[:64], regions=frozenset({NOT_A_PATIENT})
            )


def _of_code(attribute: str, rank: Rank, code: Code, vocabulary: Vocabulary) -> Iterator[Evidence]:
    meaning = region_meaning(code.value, code.scheme)
    reading = vocabulary.read(meaning or code.meaning)
    value = f"{code.value} ({code.scheme}) {meaning or code.meaning}".strip()
    if meaning and not reading.regions:
        # It is in the standard's table, and not one of the regions around the chest.
        reading = Reading(regions=frozenset({"other"}))
    elif not reading.regions and attribute == "AnatomicRegionSequence" and not meaning and not code.meaning:
        reading = Reading(unknown=(code.value,))
    yield from _of_reading(attribute, rank, value, reading, "")


def _of_reading(
    attribute: str, rank: Rank, value: str, reading: Reading, character_set: str
) -> Iterator[Evidence]:
    if reading.view_or_region and reading.regions and rank is not Rank.IMAGE:
        return  # "Face" beside "Cliché pulmonaire" is a view
    unknown = () if attribute in _OTHERWISE_SILENT else reading.unknown
    if reading.regions or unknown:
        yield Evidence(
            attribute=attribute,
            rank=rank,
            value=value[:64],
            regions=reading.regions,
            unknown=unknown,
            character_set=character_set,
        )


def _read(vocabulary: Vocabulary, text: str, raw: bytes | None) -> tuple[Reading, str, str]:
    """Read a text; if no character set is declared, use the code page in which it names a region."""
    if raw is None:
        return vocabulary.read(text), text, ""
    first: tuple[Reading, str, str] | None = None
    for encoding, candidate in readings(raw):
        reading = vocabulary.read(candidate)
        if reading.regions and not reading.unknown:
            return reading, candidate, encoding
        if first is None or (reading.regions and not first[0].regions):
            first = reading, candidate, encoding
    return first or (vocabulary.read(text), text, "")

"""Files are parsed only after their elements have been counted, and only as far as they are used."""

from __future__ import annotations

import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.datadict import keyword_dict

from agent.foundation.errors import ObjectOverBudget, UnreadableImage
from agent.objects.guarded_read import check_budget, read_used, read_whole
from agent.objects.header import EXPLICIT_BIG, IMPLICIT_LITTLE, read_header
from agent.objects.pixels import load_film, load_header, load_image, load_stored
from agent.objects.store import part10_head
from agent.objects.used_attributes import SEQUENCES
from tests.unit.agent.objects.test_header import EXPLICIT, chest, encoded

ROOT = Path(__file__).parents[4]
CR = "1.2.840.10008.5.1.4.1.1.1"
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
UNDEFINED = 0xFFFFFFFF


def sequence(tag: tuple[int, int], content: bytes, *, syntax: str, defined: bool) -> bytes:
    """Return an encoded sequence element."""
    order = ">" if syntax == EXPLICIT_BIG else "<"
    length = len(content) if defined else UNDEFINED
    if syntax == IMPLICIT_LITTLE:
        head = struct.pack("<HHI", *tag, length)
    else:
        head = struct.pack(order + "HH2sHI", *tag, b"SQ", 0, length)
    return head + content + (b"" if defined else struct.pack(order + "HHI", *_SEQUENCE_END, 0))


def empty_items(count: int, syntax: str) -> bytes:
    """Return this many empty items."""
    return struct.pack((">" if syntax == EXPLICIT_BIG else "<") + "HHI", *_ITEM, 0) * count


def with_hostile(hostile: bytes, syntax: str = EXPLICIT) -> bytes:
    """Return a film's dataset with hostile bytes before its pixel data (tags ascend)."""
    whole = encoded(chest(), syntax)
    marker = struct.pack((">" if syntax == EXPLICIT_BIG else "<") + "HH", 0x7FE0, 0x0010)
    at = whole.rindex(marker)
    return whole[:at] + hostile + whole[at:]


def stored(tmp_path: Path, dataset: bytes, syntax: str = EXPLICIT) -> Path:
    """Write a dataset as the store does."""
    path = tmp_path / "film.dcm"
    path.write_bytes(part10_head(CR, "1.2.3.4.5", syntax) + dataset)
    return path


@pytest.mark.parametrize("defined", [True, False], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("tag", [(0x0040, 0x0275), (0x0054, 0x0016)], ids=["used", "unused"])
def test_budget_ends_a_sequence_of_a_million_items(
    tmp_path: Path, syntax: str, defined: bool, tag: tuple[int, int]
) -> None:
    """Items are counted on receipt and at every read, however the sequence is encoded."""
    data = with_hostile(sequence(tag, empty_items(1_000_000, syntax), syntax=syntax, defined=defined), syntax)
    with pytest.raises(ObjectOverBudget, match="items"):
        read_header(data, syntax)
    with pytest.raises(ObjectOverBudget, match="items"):
        read_whole(stored(tmp_path, data, syntax))


def test_budget_keeps_the_memory_of_a_reader_small(tmp_path: Path) -> None:
    """Rejecting an object takes less memory than its size; parsing takes hundreds of bytes per item."""
    hostile = sequence((0x0040, 0x0275), empty_items(4_000_000, EXPLICIT), syntax=EXPLICIT, defined=True)
    path = stored(tmp_path, with_hostile(hostile))
    tracemalloc.start()
    try:
        with pytest.raises(ObjectOverBudget, match="items"):
            read_used(path, pixels=True)
        with pytest.raises(UnreadableImage, match="items"):
            load_image(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(hostile)


@pytest.mark.parametrize("read", [load_image, load_header, load_film, load_stored])
def test_used_sequence_over_its_budget_has_the_code_of_the_budget(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    """An object that the listener accepts may still be too large to parse: the code states that."""
    data = with_hostile(
        sequence((0x0040, 0x0260), empty_items(2_001, EXPLICIT), syntax=EXPLICIT, defined=True)
    )
    assert read_header(data, EXPLICIT).patient_name == "Müller^Ana"
    with pytest.raises(UnreadableImage, match="2000 items") as refused:
        read(stored(tmp_path, data))
    assert (refused.value.code, refused.value.retryable) == ("object-over-budget", False)


@pytest.mark.parametrize(
    ("element", "what"),
    [
        (struct.pack("<HH2sH", 0x0008, 0x1030, b"LO", 0), "elements"),
        (struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0), "elements"),
    ],
    ids=["standard", "private"],
)
def test_budget_ends_a_flood_of_elements(element: bytes, what: str) -> None:
    """Empty elements are counted too, known or private."""
    with pytest.raises(ObjectOverBudget, match=what):
        check_budget(with_hostile(element * 400_000), EXPLICIT)


def test_budget_ends_a_flood_of_elements_inside_one_item() -> None:
    """A single item may have no more elements than a dataset."""
    flood = struct.pack("<HH2sH", 0x0008, 0x1030, b"LO", 0) * 400_000
    item = struct.pack("<HHI", *_ITEM, len(flood)) + flood
    hostile = sequence((0x0040, 0x0275), item, syntax=EXPLICIT, defined=True)
    with pytest.raises(ObjectOverBudget, match="elements"):
        check_budget(with_hostile(hostile), EXPLICIT)


def test_budget_counts_fragments_of_pixel_data() -> None:
    """Four million empty fragments are not an image."""
    whole = encoded(chest())
    start = whole[: whole.rindex(struct.pack("<HH", 0x7FE0, 0x0010))]
    start += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNDEFINED)
    fragments = struct.pack("<HHI", *_ITEM, 0) * 100_000 + struct.pack("<HHI", *_SEQUENCE_END, 0)
    with pytest.raises(ObjectOverBudget, match="items"):
        check_budget(start + fragments, "1.2.840.10008.1.2.4.50")


def test_damage_in_an_optional_sequence_of_known_length_refuses_no_image() -> None:
    """Its length states where the dataset continues, so the image is accepted despite the damage."""
    damaged = sequence((0x0054, 0x0016), b"\x01\x02\x03\x04rubbish!", syntax=EXPLICIT, defined=True)
    assert read_header(with_hostile(damaged), EXPLICIT).patient_name == "Müller^Ana"


def test_read_used_is_what_pydicom_reads(tmp_path: Path) -> None:
    """Values, sequences, character set and pixels are the same as after a full parse."""
    film = chest()
    path = stored(tmp_path, encoded(film, undefined=True))
    used, whole = read_used(path, pixels=True), read_whole(path)
    assert used.PatientName == whole.PatientName == "Müller^Ana"
    assert bytes(used.PixelData) == bytes(whole.PixelData)
    for element in whole:
        if element.VR != "SQ" or element.keyword in SEQUENCES:
            assert used[element.tag] == element


def test_read_used_leaves_what_nobody_uses_unread(tmp_path: Path) -> None:
    """Private elements, unused sequences and overlong values are not even passed to the parser."""
    private = struct.pack("<HH2sH4s", 0x0029, 0x1001, b"LO", 4, b"none")
    unused = sequence((0x0054, 0x0016), empty_items(5, EXPLICIT), syntax=EXPLICIT, defined=False)
    header = load_header(stored(tmp_path, with_hostile(private + unused)))
    assert (0x0029, 0x1001) not in header
    assert (0x0054, 0x0016) not in header


def test_read_used_takes_the_first_of_a_repeated_element(tmp_path: Path) -> None:
    """The listener and the worker must read the same patient from one object."""
    again = struct.pack("<HH2sH4s", 0x0010, 0x0020, b"LO", 4, b"OTHR")
    data = with_hostile(again)
    header = load_header(stored(tmp_path, data))
    assert str(header.PatientID) == read_header(data, EXPLICIT).patient_id


def test_every_sequence_that_the_code_reads_is_named() -> None:
    """A sequence of an image that the code reads is listed in `used_attributes.SEQUENCES`.

    Otherwise it would silently be empty. One that only documents have, or that is nested, is listed here.
    """
    readers = ("agent/objects", "agent/reports", "agent/retrieve", "agent/drafting", "dicom_sr")
    used: set[str] = set()
    for folder in readers:
        for path in (ROOT / folder).rglob("*.py"):
            used.update(re.findall(r"\b[A-Z]\w+Sequence\b", path.read_text("utf-8")))
    image = {keyword for keyword in used if keyword in keyword_dict} - _OF_DOCUMENTS
    assert set() == image - set(SEQUENCES)


# Sequences that only documents have (Structured Reports, key objects), or that are nested in listed ones.
_OF_DOCUMENTS = frozenset(
    {
        "CodingSchemeIdentificationSequence", "ContributingEquipmentSequence",
        "PersonIdentificationCodeSequence", "PurposeOfReferenceCodeSequence",
        "AssigningAgencyOrDepartmentCodeSequence", "AssigningFacilitySequence",
        "AssigningJurisdictionCodeSequence", "AuthorObserverSequence", "ConceptCodeSequence",
        "ConceptNameCodeSequence", "ContentSequence", "ContentTemplateSequence",
        "CurrentRequestedProcedureEvidenceSequence", "DigitalSignaturesSequence",
        "IconImageSequence", "MeasuredValueSequence", "MeasurementUnitsCodeSequence",
        "NumericValueQualifierCodeSequence", "PerformedProcedureCodeSequence",
        "PertinentOtherEvidenceSequence", "PredecessorDocumentsSequence", "ReferencedSOPSequence",
        "ReferencedSeriesSequence", "SourceInstanceSequence", "VerifyingObserverIdentificationCodeSequence",
        "VerifyingObserverSequence", "WaveformSequence",
    }
)  # fmt: skip

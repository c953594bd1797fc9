"""Rules of the header reader: what it reads, and that only complete datasets pass."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filewriter import write_dataset

from agent.foundation.errors import InstanceMissing, UnreadableInstance
from agent.objects.element_walk import MAXIMUM_DEPTH
from agent.objects.header import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    MAXIMUM_INFLATED,
    STAT_PRIORITY,
    Code,
    Header,
    read_header,
    read_stored,
)
from agent.objects.store import part10_head

EXPLICIT = "1.2.840.10008.1.2.1"


def chest() -> Dataset:
    """A small chest radiograph's dataset."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = "1.2.3.4.5"
    dataset.StudyDate = "20260102"
    dataset.AccessionNumber = "A1"
    dataset.Modality = "CR"
    dataset.StudyDescription = "Thorax"
    region = Dataset()
    region.CodeValue = "51185008"
    region.CodingSchemeDesignator = "SCT"
    dataset.AnatomicRegionSequence = [region]
    dataset.PatientName = "Müller^Ana"
    dataset.PatientID = "P1"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.StudyInstanceUID = "1.2.3.4"
    dataset.SeriesInstanceUID = "1.2.3.4.1"
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated = 16
    dataset.PixelRepresentation = 0
    request = Dataset()
    request.RequestedProcedurePriority = "STAT"
    dataset.RequestAttributesSequence = [request]
    dataset.PixelData = b"\x01\x02" * 4
    dataset["PixelData"].VR = "OW"
    return dataset


def encoded(dataset: Dataset, syntax: str = EXPLICIT, *, undefined: bool = False) -> bytes:
    """The dataset's bytes in a transfer syntax, with sequences of undefined length on request."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
    buffer = BytesIO()
    write_dataset_to(buffer, dataset, syntax)
    return buffer.getvalue()


def write_dataset_to(buffer: BytesIO, dataset: Dataset, syntax: str) -> None:
    """Encode a dataset without file meta information."""
    from pydicom.filebase import DicomIO

    target = DicomIO(buffer)
    target.is_implicit_VR = syntax == IMPLICIT_LITTLE
    target.is_little_endian = syntax != EXPLICIT_BIG
    write_dataset(target, dataset)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_header_is_the_same_in_every_encoding(syntax: str, undefined: bool) -> None:
    """Byte order, VR encoding and the form of sequences do not change what is read."""
    expected = Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        sop_instance_uid="1.2.3.4.5",
        study_instance_uid="1.2.3.4",
        series_instance_uid="1.2.3.4.1",
        transfer_syntax_uid=syntax,
        modality="CR",
        body_part_examined="CHEST",
        view_position="PA",
        anatomic_regions=(Code(value="51185008", scheme="SCT", meaning=""),),
        study_description="Thorax",
        has_pixel_data=True,
        patient_id="P1",
        patient_name="Müller^Ana",
        accession_number="A1",
        study_date="20260102",
        priority=STAT_PRIORITY,
    )
    assert read_header(encoded(chest(), syntax, undefined=undefined), syntax) == expected


def test_header_of_a_deflated_dataset_is_read() -> None:
    """A deflated dataset is inflated, and is complete only with the end of its stream."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(encoded(chest())) + deflater.flush()
    assert read_header(data, DEFLATED_LITTLE).study_instance_uid == "1.2.3.4"
    with pytest.raises(UnreadableInstance):
        read_header(data[: len(data) // 2], DEFLATED_LITTLE)


def deflated(inflated_bytes: int) -> bytes:
    """A whole deflated dataset that inflates to so many bytes; its Pixel Data are as long as needed."""
    dataset = chest()
    del dataset.PixelData
    head = encoded(dataset)
    zeros = inflated_bytes - len(head) - 12
    head += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, zeros)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    start = deflater.compress(head) + deflater.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same input gives the same bytes, so one megabyte is compressed for all.
    megabyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    rest = deflater.compress(bytes(zeros % (1 << 20))) + deflater.flush()
    return start + megabyte * (zeros >> 20) + rest


def test_header_refuses_a_deflate_bomb() -> None:
    """A dataset is read up to 64 MB and refused beyond, before it is inflated further."""
    assert MAXIMUM_INFLATED == 64 << 20
    assert read_header(deflated(MAXIMUM_INFLATED - 2), DEFLATED_LITTLE).has_pixel_data
    with pytest.raises(UnreadableInstance, match="larger than 64 MB"):
        read_header(deflated(MAXIMUM_INFLATED + 2), DEFLATED_LITTLE)
    bomb = deflated(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableInstance, match="larger than 64 MB"):
            read_header(bomb, DEFLATED_LITTLE)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAXIMUM_INFLATED
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_header_refuses_every_cut(syntax: str) -> None:
    """A dataset cut inside an element is refused; one cut between two elements has no pixel data."""
    data = encoded(chest(), syntax, undefined=True)
    for length in range(len(data)):
        try:
            header = read_header(data[:length], syntax)
        except UnreadableInstance:
            continue
        assert not header.has_pixel_data, length


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "1.2.x", "1" * 65, "...", "1..2"])
def test_header_refuses_a_missing_or_invalid_identity(keyword: str, value: str | None) -> None:
    """An object without three valid UIDs cannot be routed, and the error does not quote the UID."""
    dataset = chest()
    delattr(dataset, keyword)
    if value is not None:
        dataset.add_new(keyword, "LT", value)
    with pytest.raises(UnreadableInstance) as caught:
        read_header(encoded(dataset), EXPLICIT)
    assert str(caught.value) == f"{keyword} is missing or not a UID"


def test_header_takes_an_unknown_character_set_and_odd_bytes() -> None:
    """An image is not refused because of text that cannot be decoded."""
    dataset = chest()
    data = encoded(dataset).replace(b"ISO_IR 192", b"ISO_IR 999").replace("ü".encode(), b"\xff\x00")
    assert read_header(data, EXPLICIT).patient_name == "Mÿller^Ana"


def test_header_without_pixel_data_says_so() -> None:
    """An object without an image is complete, and marked."""
    dataset = chest()
    del dataset.PixelData
    assert read_header(encoded(dataset), EXPLICIT).has_pixel_data is False


def test_header_reads_encapsulated_pixel_data_to_its_delimiter() -> None:
    """Fragments are skipped; without the sequence delimiter the dataset is incomplete."""
    dataset = chest()
    del dataset.PixelData
    start = encoded(dataset) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack(
        "<HHI4s", 0xFFFE, 0xE000, 4, b"\xff\xd8\xff\xd9"
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert read_header(start + fragments + end, "1.2.840.10008.1.2.4.50").has_pixel_data
    with pytest.raises(UnreadableInstance):
        read_header(start + fragments, "1.2.840.10008.1.2.4.50")


def test_header_refuses_a_tower_of_sequences() -> None:
    """Nesting is refused at a fixed depth, long before recursion becomes a problem."""
    opening = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(UnreadableInstance, match="nested"):
        read_header(opening * MAXIMUM_DEPTH, EXPLICIT)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_header_of_damaged_bytes_is_a_header_or_an_error(data: st.DataObject) -> None:
    """Whatever bytes are changed or dropped, the result is a header or UnreadableInstance."""
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT_LITTLE, EXPLICIT_BIG]))
    damaged = bytearray(encoded(chest(), syntax, undefined=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read_header(damaged, syntax)
    except UnreadableInstance:
        return
    assert header.study_instance_uid


def test_read_stored_reads_a_file_of_the_store(tmp_path: Path) -> None:
    """A stored file consists of preamble, file meta information and the dataset's bytes."""
    path = tmp_path / "a.dcm"
    path.write_bytes(part10_head("1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.5", EXPLICIT) + encoded(chest()))
    assert read_stored(path).sop_instance_uid == "1.2.3.4.5"


def test_read_stored_tells_a_missing_from_a_damaged_file(tmp_path: Path) -> None:
    """A missing file and a damaged file are different errors."""
    with pytest.raises(InstanceMissing):
        read_stored(tmp_path / "none.dcm")
    for content in (b"", b"short", bytes(200), part10_head("1.2", "1.2", EXPLICIT)[:150]):
        (tmp_path / "b.dcm").write_bytes(content)
        with pytest.raises(UnreadableInstance):
            read_stored(tmp_path / "b.dcm")


def test_part10_head_is_what_pydicom_reads(tmp_path: Path) -> None:
    """Another reader can read the file meta information that we write."""
    from pydicom import dcmread

    path = tmp_path / "a.dcm"
    path.write_bytes(part10_head("1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.5", EXPLICIT) + encoded(chest()))
    read = dcmread(path)
    assert str(read.file_meta.TransferSyntaxUID) == EXPLICIT
    assert str(read.file_meta.MediaStorageSOPInstanceUID) == "1.2.3.4.5"
    assert read.PatientName == "Müller^Ana"

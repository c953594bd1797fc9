"""Our encoding of a content tree compared with what pydicom reads and writes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite
from pydicom.sr.coding import Code

from dicom_sr import codes, content
from dicom_sr.content import Item, Relationship
from dicom_sr.content_encoding import content_sequence_value
from dicom_sr.errors import ContentError

WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30).filter(
    lambda text: text.strip(" ") != ""
)
CODES = st.sampled_from([codes.FINDING, codes.SEVERITY, Code("a_value_beyond_sixteen", "99ECHO", "Länge")])
LEAVES = st.one_of(
    st.builds(content.text, CODES, WORDS),
    st.builds(content.code, CODES, CODES),
    st.builds(content.code, CODES, CODES, equivalent=CODES),
    st.builds(content.number, CODES, st.sampled_from(["1", "12.5", "100.0"]), st.just(codes.PERCENT)),
    st.builds(content.uid_reference, CODES, st.sampled_from(["1.2", "1.2.3"])),
    st.builds(content.person, CODES, st.just("Röntgen^Wilhelm")),
    st.builds(
        lambda columns, rows: content.corners(
            codes.ASSESSED_CORNERS,
            content.image(codes.REGION_SOURCE, "1.2.3", "1.2.3.4", Relationship.SELECTED_FROM),
            columns=columns,
            rows=rows,
        ),
        st.integers(1, 9999),
        st.integers(1, 9999),
    ),
    st.builds(content.image, CODES, st.just("1.2.840.1"), st.sampled_from(["1.2.3.4", "1.2.3"])),
)
TREES = st.recursive(
    LEAVES,
    lambda children: st.builds(
        content.container,
        CODES,
        st.lists(children, min_size=1, max_size=3),
        template=st.sampled_from([None, "1501"]),
    ),
    max_leaves=12,
)


def decoded(items: list[Item]) -> Dataset:
    """Return what pydicom reads from our bytes, with every value converted."""
    value = content_sequence_value(items)
    character_set = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192"
    header = b"\x40\x00\x30\xa7SQ\0\0" + len(value).to_bytes(4, "little")
    raw = io.BytesIO(character_set + header + value)
    dataset = read_dataset(raw, is_implicit_VR=False, is_little_endian=True)
    for _ in dataset.iterall():
        pass
    return dataset


@settings(max_examples=40, deadline=None)
@given(items=st.lists(TREES, min_size=1, max_size=3))
def test_encoding_equals_pydicoms_of_the_same_items(items: list[Item]) -> None:
    """The bytes are unchanged after pydicom has read them and written its data sets."""
    wrapper = decoded(items)
    buffer = io.BytesIO()
    dcmwrite(buffer, wrapper, implicit_vr=False, little_endian=True)
    assert buffer.getvalue().endswith(content_sequence_value(items))


def test_corners_enclose_the_whole_image() -> None:
    """Four points as column and row follow the item's children, as the tag order demands."""
    source = content.image(codes.REGION_SOURCE, "1.2.3", "1.2.3.4", Relationship.SELECTED_FROM)
    item = content.corners(codes.ASSESSED_CORNERS, source, columns=1024, rows=2048)
    read = decoded([item]).ContentSequence[0]
    assert (read.ValueType, read.GraphicType) == ("SCOORD", "MULTIPOINT")
    assert list(read.GraphicData) == [0, 0, 1024, 0, 1024, 2048, 0, 2048]
    assert read.ContentSequence[0].RelationshipType == "SELECTED FROM"


def test_long_code_value_has_its_own_attribute() -> None:
    """A value of more than 16 characters does not fit Code Value (PS3.3 8.8)."""
    code = decoded([content.code(codes.FINDING, Code("a_value_beyond_sixteen", "99ECHO", "x"))])
    entry = code.ContentSequence[0].ConceptCodeSequence[0]
    assert entry.LongCodeValue == "a_value_beyond_sixteen"
    assert "CodeValue" not in entry


def test_equivalent_code_stands_in_the_value_only() -> None:
    """The equivalent code is part of the code of the value."""
    item = content.code(codes.FINDING, codes.NORMAL, equivalent=codes.ABNORMAL)
    code = decoded([item]).ContentSequence[0].ConceptCodeSequence[0]
    assert code.EquivalentCodeSequence[0].CodeValue == codes.ABNORMAL.value


def test_two_codes_that_differ_in_words_keep_their_words() -> None:
    """The cache of encoded codes distinguishes equal codes with different meanings."""
    pair = [content.text(Code("1", "99ECHO", meaning), "x") for meaning in ("one", "uno")]
    read = decoded(pair).ContentSequence
    assert [item.ConceptNameCodeSequence[0].CodeMeaning for item in read] == ["one", "uno"]


@pytest.mark.parametrize("meaning", ["", "x" * 65])
def test_meaning_that_does_not_fit_is_refused(meaning: str) -> None:
    """Code Meaning must have 1 to 64 characters."""
    with pytest.raises(ContentError, match="99ECHO 1"):
        content_sequence_value([content.code(codes.FINDING, Code("1", "99ECHO", meaning))])


def test_empty_text_is_refused() -> None:
    """A TEXT item must not be empty."""
    with pytest.raises(ContentError, match="Comment"):
        content.text(codes.COMMENT, " \x00\n ")


def test_language_tag_names_language_and_country() -> None:
    """TID 1204: the country is a modifier of the language."""
    item = content.language("en-US")
    assert item.code == Code("en", "RFC5646", "English")
    assert [(child.code, child.relationship) for child in item.children] == [
        (Code("US", "ISO3166_1", "US"), Relationship.CONCEPT_MOD)
    ]
    assert content.language("de").children == ()

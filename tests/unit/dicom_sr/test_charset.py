"""Names and texts of source images in every character set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_sr.charset import clean, guessed_as, source_text

NAME = 0x00100010


def raw_image(character_set: bytes | None, name: bytes) -> Dataset:
    """Return a header whose elements are still the bytes of the file."""
    image = Dataset()
    for tag, vr, value in ((0x00080005, "CS", character_set), (NAME, "PN", name)):
        if value is not None:
            image[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    return image


@pytest.mark.parametrize(
    ("character_set", "encoded", "expected"),
    [
        (b"ISO_IR 100", "Müller^Jürgen".encode("latin_1"), "Müller^Jürgen"),
        (b"ISO_IR 144", "Люксембург^Роза".encode("iso8859_5"), "Люксембург^Роза"),
        (b"ISO_IR 126", "Διονυσίου^Ελένη".encode("iso8859_7"), "Διονυσίου^Ελένη"),
        (b"ISO_IR 127", "قباني^نزار".encode("iso8859_6"), "قباني^نزار"),
        (b"ISO_IR 138", "שרון^דבורה".encode("iso8859_8"), "שרון^דבורה"),
        (b"ISO_IR 192", "王^小东=山田^太郎".encode(), "王^小东=山田^太郎"),
        (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            b"\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
    ],
)
def test_name_in_its_character_set_becomes_unicode(
    character_set: bytes, encoded: bytes, expected: str
) -> None:
    """Every single-byte, multi-byte and code-extension set of PS3.3 C.12.1.1.2 is decoded."""
    assert expected == source_text(raw_image(character_set, encoded), NAME, is_name=True)


@pytest.mark.parametrize(
    ("character_set", "encoded", "expected"),
    [
        (b"ISO-IR 100", "Müller".encode("latin_1"), "Müller"),
        (b"ISO2022 IR 100", "Müller".encode("latin_1"), "Müller"),
        (b"UTF-8", "Müller 山".encode(), "Müller 山"),
        (b"unheard of", "Müller".encode(), "Müller"),
        (None, "Müller".encode("latin_1"), "Müller"),
        (b"ISO_IR 192", "Müller".encode("latin_1"), "M\ufffdller"),
        (b"ISO_IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        (b"ISO_IR 100", b"\x1b$B;3ED\x1b(B^X", "山田^X"),
        (b"ISO_IR 100\\ISO_IR 192", "Müller".encode("latin_1"), "Müller"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3\xff\xff", "山\ufffd\ufffd"),
        (b"\\ISO 2022 IR 87", b"A\x1b%ZB", "AB"),
        (b"\\ISO 2022 IR 58", b"Zhang=\xd5\xc5", "Zhang=张"),
        (b"\\ISO 2022 IR 100", b"M\xfcller", "Müller"),
    ],
)
def test_name_beside_a_wrong_character_set_is_saved_as_far_as_it_goes(
    character_set: bytes | None, encoded: bytes, expected: str
) -> None:
    """A misspelt, missing or wrong Specific Character Set neither raises nor warns."""
    assert expected == source_text(raw_image(character_set, encoded), NAME, is_name=True)


def test_clean_drops_control_characters_and_outer_spaces() -> None:
    """Characters that no VR allows are dropped; line breaks become spaces; the rest is unchanged."""
    assert clean("  a\nb\x00\x1b \x07c\u0301 ") == "a b c\u0301"


def test_text_already_converted_by_pydicom_is_taken_as_it_is() -> None:
    """An element that has been read before is not decoded again."""
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = "Διονυσίου^Ελένη"
    assert source_text(image, NAME, is_name=True) == "Διονυσίου^Ελένη"


@settings(deadline=None)
@given(character_set=st.binary(max_size=40), name=st.binary(max_size=60))
def test_any_bytes_give_text_that_utf8_can_carry(character_set: bytes, name: bytes) -> None:
    """No character set or name raises or warns, however broken it is."""
    text = source_text(raw_image(character_set, name), NAME, is_name=True)
    assert text == text.encode("utf-8").decode("utf-8")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1252", "Müller^Jürgen"),
        ("utf_8", "Łukasz^Żółw"),
        ("cp932", "山田^太郎"),
    ],
)
def test_undeclared_text_is_guessed_and_said(encoding: str, name: str) -> None:
    """A name never silently becomes mojibake: it is read with its code page, and the guess is reported."""
    image = raw_image(None, name.encode(encoding))
    assert source_text(image, NAME, is_name=True) == name
    assert guessed_as(image) == (encoding,)


@pytest.mark.parametrize("character_set", [b"ISO_IR 100", None])
def test_declared_or_plain_text_is_no_guess(character_set: bytes | None) -> None:
    """ASCII is unambiguous, and a declared character set is trusted."""
    assert guessed_as(raw_image(character_set, b"DOE^JANE")) == ()

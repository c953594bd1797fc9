"""Decodes text of a source image to Unicode, whatever its character set, without exceptions or warnings.

Our documents are always ISO_IR 192. An image's Specific Character Set may be absent, misspelt or wrong for
its bytes; a patient's name is preserved if possible, and never stops a draft if not.

Source: PS3.3 C.12.1.1.2; PS3.5 6.1.2.5 (code extensions).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pydicom.charset import CODES_TO_ENCODINGS, ESC, python_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from dicom_sr.charset_guess import common_encoding, read_as

_CHARACTER_SET_TAG = 0x00080005
_TEXT_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}
_NAME_DELIMITERS = {0x5E, 0x3D}  # ^ and =: the initial set is active again after each (PS3.5 6.2)
_SELF_ESCAPING = frozenset({"iso2022_jp", "iso2022_jp_2"})  # Python's codecs read these escapes themselves
_DEFAULT_REPERTOIRE = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_ASCII = "ascii"
# Value representations of characters (PS3.5 6.2); numbers in digits are text, too. UN may be anything.
_TEXT_VRS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UN", "UR",
     "UT"}
)  # fmt: skip
# An undeclared code page is guessed once for an image, from these of its texts taken together, so that its
# header, its pixels' reader and its documents agree.
GUESSED_FROM = (
    "PatientName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "AcquisitionDeviceProcessingDescription",
)
# Texts that a document or a draft repeats.
_REPEATED = (
    "PatientName",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "InstitutionName",
    "RequestedProcedureDescription",
    "ReasonForTheRequestedProcedure",
    "AdmittingDiagnosesDescription",
)


def source_codecs(dataset: Dataset) -> tuple[str, ...]:
    """The Python codecs of an image's character sets, best effort, the initial one first.

    The escape sequences name the sets that they switch to; the others matter for senders that left
    the escapes out. The last one is the guess, if the initial one is the default repertoire.
    """
    codecs = _codecs(str(term) for term in _raw_values(dataset.get_item(_CHARACTER_SET_TAG)))
    return _with_guess(codecs, (_undeclared(dataset, keyword) for keyword in GUESSED_FROM))


def encoded_codecs(character_set: bytes, texts: Iterable[bytes] = ()) -> tuple[str, ...]:
    """The same, from the encoded values of Specific Character Set and of the texts of `GUESSED_FROM`."""
    codecs = _codecs(character_set.decode("ascii", errors="ignore").split("\\"))
    return _with_guess(codecs, texts)


def guess_of(codecs: tuple[str, ...]) -> str:
    """The guessed code page for texts; empty if the initial character set is declared."""
    return codecs[-1] if codecs[0] == _ASCII and len(codecs) > 1 else ""


def _with_guess(codecs: tuple[str, ...], texts: Iterable[bytes]) -> tuple[str, ...]:
    if codecs[0] != _ASCII:
        return codecs
    guess = common_encoding(text.rstrip(b" \0") for text in texts if ESC not in text)
    return (*codecs, guess) if guess else codecs


def decoded(value: bytes, codecs: tuple[str, ...], *, is_name: bool = False) -> str:
    """An encoded text value as Unicode, still with control characters."""
    return _decode(value, codecs, _NAME_DELIMITERS if is_name else _TEXT_DELIMITERS)


def _codecs(terms: Iterable[str]) -> tuple[str, ...]:
    known = [one for one in map(_normalised_term, terms) if one in python_encoding] or [""]
    return tuple(_ASCII if term in _DEFAULT_REPERTOIRE else _codec(term) for term in known)


def _codec(term: str) -> str:
    codec = python_encoding[term]
    return "gb2312" if codec == "iso_ir_58" else codec


def source_text(dataset: Dataset, keyword_tag: int, *, is_name: bool = False) -> str:
    """One text element of an image as clean Unicode; empty if absent.

    Multiple values are joined with a backslash, as in the file. Control characters are dropped. A value of a
    sequence, a binary number or other bytes is not text, and counts as absent.
    """
    return clean(stated_text(dataset, keyword_tag, is_name=is_name))


def stated_text(dataset: Dataset, keyword_tag: int, *, is_name: bool = False) -> str:
    """The same with the control characters and spaces that it was received with."""
    element = dataset.get_item(keyword_tag)
    if element is None or element.value is None or not _is_text(element):
        return ""
    value = element.value
    if isinstance(value, PersonName):
        value = value.original_string if isinstance(value.original_string, bytes) else str(value)
    if isinstance(value, MultiValue | list | tuple):
        value = "\\".join(str(item) for item in value)
    if isinstance(value, bytes) and value.isascii() and ESC not in value:
        value = value.decode("ascii").rstrip(" \0")
    if isinstance(value, bytes):
        value = _decode(value, source_codecs(dataset), _NAME_DELIMITERS if is_name else _TEXT_DELIMITERS)
    return str(value)


def _is_text(element: DataElement | RawDataElement) -> bool:
    return element.VR is None or element.VR in _TEXT_VRS


def guessed_as(dataset: Dataset) -> tuple[str, ...]:
    """The guessed encodings of an image's texts; empty if no guess was needed.

    Only the texts that a document or a draft repeats are looked at, those of the image itself.
    """
    codecs = source_codecs(dataset)
    if codecs[0] != _ASCII:
        return ()
    values = (_undeclared(dataset, keyword) for keyword in _REPEATED)
    found = (_plain(value.rstrip(b" \0"), codecs)[0] for value in values if value and ESC not in value)
    return tuple(dict.fromkeys(found))


def _undeclared(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a text that is not ASCII; empty for any other, and for one that is Unicode already."""
    element = dataset.get_item(keyword)
    value = None if element is None or not _is_text(element) else element.value
    if isinstance(value, PersonName):
        value = value.original_string
    if isinstance(value, str):
        try:
            # pydicom has decoded it byte for byte, as the default repertoire asks.
            value = value.encode("latin_1")
        except UnicodeEncodeError:
            return b""
    return value if isinstance(value, bytes) and not value.isascii() else b""


def clean(text: str) -> str:
    """Without control characters (line breaks become a space) and without outer spaces."""
    spaced = re.sub(r"[\r\n\t\f]+", " ", text)
    kept = "".join(char for char in spaced if unicodedata.category(char) not in {"Cc", "Cs"})
    return kept.strip(" ")


def _raw_values(element: DataElement | RawDataElement | None) -> Iterable[object]:
    if element is None or element.value is None:
        return [""]
    value = element.value
    if isinstance(value, bytes):
        return value.decode("ascii", errors="ignore").split("\\")
    if isinstance(value, str):
        return value.split("\\")
    return list(value)


def _normalised_term(term: str) -> str:
    """A defined term from its common misspellings: `iso-ir-100`, `ISO2022 IR 87`, `UTF-8`."""
    squeezed = re.sub(r"[\s_\-]+", "", term.strip(" \0").upper())
    if squeezed in {"UTF8", "UNICODE", "UNICODE11UTF8"}:
        return "ISO_IR 192"
    if squeezed in {"GB18030", "GBK"}:
        return squeezed
    match = re.fullmatch(r"ISO(2022)?(?:IR)?(\d{1,3})", squeezed)
    if match is None:
        return term.strip(" \0")
    prefix = "ISO 2022 IR " if match.group(1) else "ISO_IR "
    candidate = prefix + match.group(2)
    # IR 87, 149, 159 and 58 exist with code extensions only.
    return candidate if candidate in python_encoding else "ISO 2022 IR " + match.group(2)


def _decode(value: bytes, codecs: tuple[str, ...], delimiters: set[int]) -> str:
    text = value.rstrip(b" \0")
    if ESC not in text:
        return _decode_plain(text, codecs)
    fragments: list[bytes] = re.findall(rb"^[^\x1b]+|\x1b[^\x1b]*", text)
    return "".join(_decode_fragment(fragment, codecs, delimiters) for fragment in fragments)


def _decode_plain(value: bytes, codecs: tuple[str, ...]) -> str:
    return _plain(value, codecs)[1]


def _plain(value: bytes, codecs: tuple[str, ...]) -> tuple[str, str]:
    """Encoding and text of bytes without escapes: the initial set; then UTF-8, which rarely fits by accident;
    then the others, of which the last may be the guess.
    """
    first, *others = codecs
    for codec in (first, "utf_8", *others):
        try:
            return codec, value.decode(codec)
        except UnicodeError:
            continue
    return read_as(value, "") if first == _ASCII else (first, value.decode(first, errors="replace"))


def _decode_fragment(fragment: bytes, codecs: tuple[str, ...], delimiters: set[int]) -> str:
    """One run after an escape sequence; an undeclared but known escape sequence is still honoured."""
    if not fragment.startswith(ESC):
        return _decode_plain(fragment, codecs)
    length = 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = CODES_TO_ENCODINGS.get(fragment[:length], codecs[0])
    if codec in _SELF_ESCAPING:
        return fragment.decode(codec, errors="replace")
    body = fragment[length:]  # the sets of G1 leave ASCII alone, so a delimiter in this run is a real one
    end = next((index for index, byte in enumerate(body) if byte in delimiters), len(body))
    return body[:end].decode(codec, errors="replace") + _decode_plain(body[end:], codecs)

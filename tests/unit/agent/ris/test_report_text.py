"""Which observations of a result message are a signed report's text, and which are not."""

from __future__ import annotations

import base64

import pytest

from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.parse import parse
from agent.ris.read import read
from agent.ris.updates import NotApplied, ReportUpdate, Update
from tests.support.hl7_messages import hl7, msh, pid, segment

UID = "1.2.840.113619.2.55.3.604688119.971.1449.1"
TEXT = "OBX|9|TX|59776-5^Findings^LN||Small left effusion.||||||F"
WRITTEN = "Findings:\nSmall left effusion."


def _told(*segments: str) -> tuple[Update, ...]:
    return read(parse(hl7(msh("ORU^R01", "1"), *segments)), Hl7Settings())


def _reports(*segments: str, status: str = "F") -> list[ReportUpdate]:
    request = segment("OBR", {18: "A1", 25: status})
    return [one for one in _told(pid(), request, *segments) if isinstance(one, ReportUpdate)]


@pytest.mark.parametrize(
    "observation",
    [
        # The study, its parts and where they are stored.
        f"OBX|1|HD|113014^DICOM Study^DCM||{UID}||||||F",
        f"OBX|1|ST|113014^DICOM Study^DCM||{UID}||||||F",
        f"OBX|1|TX|113014^DICOM Study^DCM||{UID}||||||R",
        f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}",
        f"OBX|1|ST|LOCAL^Series||{UID}~{UID}.2||||||F",
        f"OBX|1|TX|||{UID}",
        "OBX|1|RP|LINK||https://pacs.example/study?uid=1.2.3",
        "OBX|1|TX|LINK^Images||https://pacs.example/study?uid=1.2.3",
        r"OBX|1|ST|PATH^Images||\E\\E\server\E\images",
        "OBX|1|ST|ACC^Accession Number||A-77/B",
        "OBX|1|ST|KEY^Report ID||R-77/B",
        # Numbers, measurements, codes.
        "OBX|1|NM|8302-2^Height^LN||172|cm|||||F",
        "OBX|1|ST|DOSE^Dose||0.1 to 0.2|mGy|||||F",
        "OBX|1|ST|KVP^Tube voltage||125||||||F",
        "OBX|1|DT|DATE^Reported on||20260102||||||F",
        "OBX|1|CWE|60046-3^Pleural effusion^LN||373572006^Absent^SCT||||||F",
        "OBX|1|CE|BIRADS||4^Suspicious^L||||||F",
        # Documents, whatever their type is called.
        "OBX|1|ED|PDF^Report^L||^application^pdf^Base64^JVBERi0xLjQK||||||F",
        f"OBX|1|TX|PDF^Report^L||{base64.b64encode(bytes(range(256)) * 2).decode()}||||||F",
        "OBX|1|FT|RTF^Report^L||{\\E\\rtf1 Large pneumothorax.}||||||F",
        # Texts that nobody has verified, that are no longer verified, or that never were.
        "OBX|1|TX|AI^Findings of software||Large pneumothorax.||||||R",
        "OBX|1|TX|AI^Findings||Large pneumothorax.||||||P",
        "OBX|1|TX|AI^Findings||Large pneumothorax.||||||I",
        "OBX|1|TX|AI^Findings||Large pneumothorax.||||||S",
        "OBX|1|TX|OLD^Findings||Large pneumothorax.||||||D",
        "OBX|1|TX|OLD^Findings||Large pneumothorax.||||||W",
        "OBX|1|TX|OLD^Findings||Large pneumothorax.||||||X",
        "OBX|1|TX|ASK^Question||Large pneumothorax?||||||O",
        'OBX|1|TX|NUL^Findings||""||||||F',
        "OBX|1|TX|NUL^Findings||||||||F",
    ],
)
def test_observation_that_is_no_signed_text_is_left_out(observation: str) -> None:
    """Before or after the text, it is left out of the report; without the text there is no report."""
    for given in ((observation, TEXT), (TEXT, observation)):
        (found,) = _reports(*given)
        assert (found.text, found.status, found.addendum) == (WRITTEN, "F", False)
    assert [one.status for one in _reports(observation)] in ([], ["X"])
    assert [one.text for one in _reports(observation)] in ([], [""])


@pytest.mark.parametrize("kind", ["ST", "TX", "FT"])
@pytest.mark.parametrize("state", ["", "F", "C", "U", "A"])
def test_observation_in_words_is_text_whatever_its_type(kind: str, state: str) -> None:
    """Short strings, text and formatted text; final, corrected, amended, or as the request states."""
    (found,) = _reports(f"OBX|1|{kind}|R^Report||Normal chest.~No 2 cm nodule; see 1.2.3||||||{state}")
    assert found.text == "Normal chest.\nNo 2 cm nodule; see 1.2.3"


def test_study_is_named_by_its_uid_alone() -> None:
    """The observation names the study and is not in the text."""
    for code in ("113014^DICOM Study^DCM", "110180^Study Instance UID^DCM"):
        (found,) = _reports(f"OBX|1|ST|{code}||{UID}||||||F", TEXT)
        assert (found.study_instance_uid, found.text) == (UID, WRITTEN)


@pytest.mark.parametrize("state", ["P", "R", "S", "I"])
def test_final_request_with_unverified_text_is_no_signed_report(state: str) -> None:
    """Table 0085: the status of a request does not sign a text that nobody has verified."""
    assert _reports(f"OBX|1|TX|R||Large pneumothorax.||||||{state}") == []


@pytest.mark.parametrize("status", ["F", "C", ""])
@pytest.mark.parametrize("state", ["D", "W"])
def test_deletion_of_all_text_is_a_withdrawal(status: str, state: str) -> None:
    """This also holds where neither type nor value is sent with it."""
    for observation in (f"OBX|1|TX|R||Effusion.||||||{state}", f"OBX|1||R||||||||{state}"):
        uid = f"OBX|2|ST|113014^DICOM Study^DCM||{UID}||||||F"
        assert [(one.status, one.text) for one in _reports(observation, uid, status=status)] == [("X", "")]


@pytest.mark.parametrize("status", ["P", "R", "A", "S", "I", "O", "Y", "Z", "N"])
def test_request_that_is_not_final_is_no_signed_report(status: str) -> None:
    """Table 0123, whatever the status of the texts."""
    assert _reports(TEXT, status=status) == []


def test_reason_why_a_report_does_not_count_is_answered() -> None:
    """A document without text is a different reason from a missing signature."""
    pdf = "OBX|1|ED|PDF||^application^pdf^Base64^JVBERi0||||||F"
    for segments, word in (((pdf,), "no text"), ((TEXT.replace("||||||F", "||||||R"),), "signed")):
        (found,) = _told(pid(), segment("OBR", {18: "A1", 25: "F"}), *segments)
        assert isinstance(found, NotApplied)
        assert word in found.words
        assert len(found.words) <= 80  # the maximum length of MSA-3


@pytest.mark.parametrize(
    ("observation", "addendum"),
    [
        ("OBX|1|TX|71020&ADT^Chest^CPT||There is a fracture.||||||F", True),
        ("OBX|1|TX|55107-7^^LN||There is a fracture.||||||F", True),
        ("OBX|1|TX|X^Addendum 1||There is a fracture.||||||F", True),
        ("OBX|1|TX|X^Nachtrag||Fraktur der 5. Rippe.||||||F", True),
        ("OBX|1|TX|X^Report||There is a fracture.||||||B", True),
        ("OBX|1|TX|71020&IMP^Chest^CPT||There is a fracture.||||||F", False),
    ],
)
def test_addendum_alone_is_told_from_a_whole_report(observation: str, addendum: bool) -> None:
    """By suffix, code, name or status; together with the report's text it is part of a whole report."""
    (alone,) = _reports(observation)
    assert alone.addendum is addendum
    (whole,) = _reports(TEXT, observation)
    assert whole.addendum is False
    assert whole.text.startswith(WRITTEN)


def test_parts_of_a_report_have_their_headings() -> None:
    """The suffix of the identifier states the part where all have the name of the examination."""
    (found,) = _reports(
        "OBX|1|TX|71020&IMP^Chest^CPT||Effusion.||||||F", "OBX|2|TX|71020&ADT^Chest^CPT||Fracture.||||||F"
    )
    assert found.text == "Impression:\nEffusion.\nAddendum:\nFracture."


def test_one_report_of_two_orders_is_a_report_of_each() -> None:
    """The text is under one of the requests that were reported together, or under both."""
    first, second = (segment("OBR", {18: one, 25: "F"}) for one in ("A1", "A2"))
    for segments in ((first, TEXT, second), (first, second, TEXT), (first, TEXT, second, TEXT)):
        found = [one for one in _told(pid(), *segments) if isinstance(one, ReportUpdate)]
        assert [(one.accession_number, one.text) for one in found] == [("A1", WRITTEN), ("A2", WRITTEN)]


def test_report_of_one_patient_is_never_lent_to_another() -> None:
    """A request without a text gets none from the preceding PID."""
    first, second = (segment("OBR", {18: one, 25: "F"}) for one in ("A1", "A2"))
    found = _told(pid("PA"), first, TEXT, pid("PB"), second)
    assert [one.accession_number for one in found if isinstance(one, ReportUpdate)] == ["A1"]


def test_result_of_this_software_is_not_a_signed_report() -> None:
    """A RIS may forward our own results, and the comparison would be with ourselves."""
    request = segment("OBR", {18: "A1", 25: "F"})
    (found,) = _told("SFT|ECHO Agent|1.0|echo|1.0", pid(), request, TEXT)
    assert isinstance(found, NotApplied)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"Effusion \T\ \.br\no pneumothorax \F\ rib 5", "Effusion & \nno pneumothorax | rib 5"),
        (r"Herz \X4772C3B6C39F65\ normal", "Herz Größe normal"),
        (r"\H\Effusion\N\ left", "Effusion left"),
        (r"Effu\X00\sion", "Effusion"),
        (r"a\S\b \R\ c\E\d", r"a^b ~ c\d"),
    ],
)
def test_escapes_are_read(sent: str, text: str) -> None:
    """HL7 escapes are decoded (HL7 v2.5.1 2.7)."""
    assert [one.text for one in _reports(f"OBX|1|FT|R^Report||{sent}||||||F")] == [text]


@pytest.mark.parametrize(
    ("stated", "codec"),
    [
        ("8859/1", "iso8859-1"),
        ("UNICODE UTF-8", "utf-8"),
        ("8859/15", "iso8859-15"),
        ("", "cp1252"),
        ("ASCII", "cp1252"),
        ("GB 18030-2000", "gb18030"),
    ],
)
def test_text_is_read_in_the_senders_character_set(stated: str, codec: str) -> None:
    """The set that MSH-18 names, and the one that is sent in spite of it."""
    words = "右侧少量胸腔积液。" if codec == "gb18030" else "Kleiner Pleuraerguß links, Herz vergrößert."
    request = segment("OBR", {18: "A1", 25: "F"})
    raw = hl7(msh("ORU^R01", "1"), pid(), request, f"OBX|1|TX|R^Report||{words}||||||F").decode()
    raw = raw.replace("UNICODE UTF-8", stated)
    (found,) = read(parse(raw.encode(codec)), Hl7Settings())
    assert isinstance(found, ReportUpdate)
    assert found.text == words

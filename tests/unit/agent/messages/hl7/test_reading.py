"""Reading what systems send: delimiters, escape sequences, character sets, line ends, batches, frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.foundation.errors import MessageUnreadable
from agent.messages.hl7.encoding import Delimiters, escaped, unescaped
from agent.messages.hl7.framing import FrameReader, framed
from agent.messages.hl7.message import place_of
from agent.messages.hl7.parse import parse, split_batch
from tests.support.hl7_messages import hl7, msh, pid

MESSAGE = hl7(msh("ADT^A08", "1"), pid("PA", "Müller^Jörg"), "ZXX|1|own^parts")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r"])
@pytest.mark.parametrize("around", [("", ""), ("\x0b", "\x1c\r"), (" \r\n", "\r\n\0"), ("\ufeff", "")])
def test_message_is_read_whatever_ends_its_lines(end: str, around: tuple[str, str]) -> None:
    """CR, LF, both or doubled, with or without the last one, a byte order mark, start and end blocks."""
    text = MESSAGE.decode().rstrip("\r").replace("\r", end)
    message = parse(f"{around[0]}{text}{around[1]}".encode())
    assert [one.name for one in message.segments] == ["MSH", "PID", "ZXX"]
    assert message.value(place_of("ZXX-2.2")) == "parts"


@pytest.mark.parametrize(
    ("stated", "codec", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "Müller"),
        ("", "utf-8", "Müller"),
        ("", "latin-1", "Müller"),
        ("ASCII", "latin-1", "Müller"),
        ("8859/1", "latin-1", "Müller"),
        ("ISO8859-1", "latin-1", "Müller"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("8859/15", "iso8859-15", "Šimek"),
        ("GB 18030-2000", "gb18030", "王小明"),
        ("GB18030", "gb18030", "王小明"),
        ("UNICODE UTF-8~ISO IR87", "utf-8", "山田"),
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("ISO IR6~ISO IR87~ISO IR159", "iso2022_jp_1", "山田"),
        ("8859/1", "utf-8", "Müller"),
        ("8859/5", "utf-8", "Иванов"),
        ("8859/1", "cp1252", "O’Neill"),
        ("8859/2", "iso8859-2", "Łukasz"),
        ("TIS-620", "iso8859-11", "สมชาย"),
        ("KOI8-R", "koi8-r", "Иванов"),
    ],
)
def test_message_is_read_in_the_character_set_that_it_is_in(stated: str, codec: str, name: str) -> None:
    """MSH-18 applies unless the bytes are invalid in that character set, or would give implausible text."""
    text = MESSAGE.decode().replace("UNICODE UTF-8", stated).replace("Müller^Jörg", f"{name}^J")
    found = parse(text.encode(codec)).value(place_of("PID-5.1"))
    assert found == name


@pytest.mark.parametrize(("stated", "meant"), [("ORM", "ORM^O01"), ("ORU", "ORU^R01"), ("ADT", "ADT^A08")])
def test_type_without_an_event_is_that_of_version_2_1(stated: str, meant: str) -> None:
    """MSH-9 has no event in version 2.1; EVN-1 states it, or the message type has only one."""
    head = msh(stated, "1")
    assert parse(hl7(head, *(("EVN|A08",) if stated == "ADT" else ()), pid())).type == meant


@pytest.mark.parametrize(
    ("stated", "sent", "name"),
    [
        ("~KS X 1001", b"\x1b$)C" + "김희중".encode("euc_kr"), "김희중"),
        ("~ISO IR149", b"\x1b$)C" + "김희중".encode("euc_kr") + b"\x1b(B", "김희중"),
        ("KS X 1001", "김희중".encode("euc_kr"), "김희중"),
        ("ASCII~KS X 1001", "김희중".encode("euc_kr"), "김희중"),
        ("", "김희중".encode("iso2022_kr"), "김희중"),
        ("", b"\\M242943\\" + "김희중".encode("euc_kr"), "김희중"),
        ("~ISO IR87", rb"\M2442\;3ED\C2842\\", "山田\\"),
        ("~ISO IR87", b"\x1b$B;3ED\x1b(J", "山田"),
        ("ISO IR13~ISO IR87", "ﾔﾏﾀﾞ".encode("shift_jis") + b"\x1b$B;3ED\x1b(B", "ﾔﾏﾀﾞ山田"),
        ("~ISO IR159", "丂".encode("iso2022_jp_1"), "丂"),
        ("ASCII~ISO IR58", b"\x1b$)A" + "王小明".encode("gb2312"), "王小明"),
        ("BIG-5", "王小明".encode("big5"), "王小明"),
        ("8859/1", b"\x1b-L" + "Иванов".encode("iso8859-5"), "Иванов"),
        ("8859/11", "สมชาย".encode("iso8859-11"), "สมชาย"),
        ("windows-1250", "Šimek".encode("cp1250"), "Šimek"),
        ("UNICODE UTF-8~ISO IR87", "Müller".encode() + b"\x1b$B;3ED\x1b(B", "Müller山田"),
        ("", b"\\X1B24423B3345441B2842\\", "山田"),
    ],
)
def test_character_set_is_switched_within_a_text(stated: str, sent: bytes, name: str) -> None:
    """ISO 2022 of Japan, Korea, China and Europe, as bytes or escape sequences, leaves the rest intact."""
    header = msh("ADT^A08", "1").replace("UNICODE UTF-8", stated)
    raw = f"{header}\rPID|1||7||".encode("latin-1") + sent + b"^J|||M\rZXX|1|after"
    message = parse(raw)
    assert message.value(place_of("PID-5.1")) == name
    assert message.value(place_of("PID-5.2")) == "J"
    assert (message.value(place_of("PID-8")), message.value(place_of("ZXX-2"))) == ("M", "after")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\T\b\S\c\F\d\R\e\E\f", r"a&b^c|d~e\f"),
        (r"one\.br\two\.sp2\three", "one\ntwo\n\nthree"),
        (r"\H\bold\N\ \X41C3A4\ ", "bold Aä"),
        (r"half \open", r"half \open"),
        (r"C:\Users\x", r"C:\Users\x"),
        (r"\Z1\x\unknown\y", r"x\unknown\y"),
        ("\\", "\\"),
        (r"\E\.br\E\ ", r"\.br\ ".rstrip()),
        ('""', ""),
    ],
)
def test_escape_sequences_mean_what_they_stand_for(sent: str, meant: str) -> None:
    """Unknown and incomplete escape sequences stay as they are."""
    message = parse(hl7(msh("ORM^O01", "1"), f"OBR|1|{sent}"))
    assert message.value(place_of("OBR-2")) == meant


def test_delimiters_are_those_of_the_header() -> None:
    """Other delimiters, fewer delimiters and another field separator are understood."""
    message = parse(b"MSH$*%!@$APP$FAC$$$20260101$$ADT*A08$7$P$2.3\rPID$1$$77***H@1.2@ISO$$M!T!x*Y")
    assert (message.type, message.control_id, message.sender) == ("ADT^A08", "7", ("APP", "FAC"))
    assert message.value(place_of("PID-3.4.2")) == "1.2"
    assert message.value(place_of("PID-5.1")) == "M@x"
    assert parse(b"MSH|^|A|B\rPID|1||5^x").value(place_of("PID-3.1")) == "5"


def test_line_break_inside_a_text_belongs_to_the_text() -> None:
    """A report whose sender broke lines with LF is read completely."""
    message = parse(hl7(msh("ORU^R01", "1"), "OBX|1|TX|x||first\nsecond line\n\nthird||||||F", "NTE|1"))
    assert message.value(place_of("OBX-5")) == "first\nsecond line\nthird"
    assert message.value(place_of("OBX-11")) == "F"


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"MSH", b"MSH|", b"PID|1", b"MSHX^~", b"MSH\r|^", b"MSH|||", b"\xff" * 9, b"MSH|\0~\\&|A"),
        # Delimiters whose meaning depends on the character set.
        b"MSH\x9a^~\\&\x9aRIS\x9aHOSP\rPID\x9a1",
        b"MSH|\xa7~\\&|RIS|HOSP\rPID|1",
        "MSH§^~\\&§RIS§HOSP\rPID§1".encode(),
        b"MSH\x7f^~\\&\x7fRIS\x7fHOSP",
    ],
)
def test_what_has_no_header_is_refused(raw: bytes) -> None:
    """Nothing is guessed about content that is not a message."""
    with pytest.raises(MessageUnreadable):
        parse(raw)


def test_batch_is_split_into_its_messages() -> None:
    """FHS, BHS and their trailers enclose messages and are not messages themselves."""
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + MESSAGE + MESSAGE + b"BTS|2\rFTS|1\r"
    parts = split_batch(batch)
    assert [parse(one).control_id for one in parts] == ["1", "1"]
    assert [[seg.name for seg in parse(one).segments] for one in parts] == [["MSH", "PID", "ZXX"]] * 2


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_frames_are_found_however_they_arrive(size: int) -> None:
    """Byte by byte or all at once, with junk in between, no VT, no CR after FS, or a VT inside a text."""
    odd = MESSAGE.replace(b"own", b"o\x0bwn")
    stream = (
        b"junk" + framed(MESSAGE) + b"\r\n" + odd + b"\x1c" + b"\x0bMSH|^~\\&|broken off" + framed(MESSAGE)
    )
    reader = FrameReader(10_000)
    found = [one for at in range(0, len(stream), size) for one in reader.feed(stream[at : at + size])]
    assert [parse(one).control_id for one in found] == ["1", "1", "1"]
    assert not reader.begun


def test_frame_that_is_too_long_is_refused() -> None:
    """A peer cannot exhaust the memory."""
    reader = FrameReader(1000)
    for _ in range(10):
        reader.feed(b"x" * 100)
    with pytest.raises(MessageUnreadable):
        reader.feed(b"x")


@given(st.text(max_size=80))
def test_text_survives_being_written_and_read(text: str) -> None:
    """Any text is read back as it was written, except control characters and the kind of line break."""
    lines = "\n".join(
        "".join(c if ord(c) >= 32 and c != "\x7f" else " " for c in line) for line in text.splitlines()
    )
    written = escaped("\n".join(text.splitlines()))
    assert unescaped(written) == lines
    assert not set(written.replace("\\", "")) & set("|^~&\r\n")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mutated_message_is_read_or_refused(data: st.DataObject) -> None:
    """However the bytes of a message are changed, the parser answers or raises its own error."""
    raw = bytearray(MESSAGE)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "double"]))
        if kind == "set":
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == "cut" and len(raw) > 20:
            del raw[at : at + data.draw(st.integers(1, 20))]
        else:
            raw[at:at] = raw[max(0, at - 20) : at]
    try:
        message = parse(bytes(raw))
    except MessageUnreadable:
        return
    assert message.segments[0].name == "MSH"
    assert isinstance(message.value(place_of("PID-5.1")), str)


def test_marks_without_an_escape_character_escape_nothing() -> None:
    """When MSH-2 has two characters, a backslash is an ordinary character."""
    assert unescaped("a\\F\\b", Delimiters(escape="")) == "a\\F\\b"

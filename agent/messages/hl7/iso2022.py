"""Text that switches its character set with the escape sequences of ISO 2022. Pure.

HL7 writes the switch as the sequence itself (ESC and two or three bytes) or as `\\Cxxyy\\` and `\\Mxxyyzz\\`.
Source: HL7 v2.5.1 sections 2.7.2 and 2.15.9.18 (MSH-18, MSH-20); ISO/IEC 2022; ISO-IR 87, 149, 159.
"""

from __future__ import annotations

import re

ESCAPE = b"\x1b"
# Sets for bytes below 0x80 (G0): the codec that reads these bytes together with their escape sequence.
_LOWER = {
    b"(B": "ascii",
    b"(J": "iso2022_jp_ext",
    b"(I": "iso2022_jp_ext",
    b"$@": "iso2022_jp_ext",
    b"$B": "iso2022_jp_ext",
    b"$(B": "iso2022_jp_ext",
    b"$(D": "iso2022_jp_ext",
    b"$A": "iso2022_jp_2",
    b"$(A": "iso2022_jp_2",
    b"$(C": "iso2022_jp_2",
}
_WRITTEN_OUT = {b"$(A": b"$A", b"$(B": b"$B"}
# Sets for bytes from 0x80 (G1): the codec that reads these bytes alone.
_UPPER = {
    b"$)C": "cp949",
    b"$)A": "gb18030",
    b"$)B": "euc_jp",
    b")I": "shift_jis",
    b"-A": "iso8859-1",
    b"-B": "iso8859-2",
    b"-C": "iso8859-3",
    b"-D": "iso8859-4",
    b"-L": "iso8859-5",
    b"-G": "iso8859-6",
    b"-F": "iso8859-7",
    b"-H": "iso8859-8",
    b"-M": "iso8859-9",
    b"-T": "iso8859-11",
    b"-b": "iso8859-15",
}
_SWITCH = re.compile(
    b"\x1b(" + b"|".join(re.escape(one) for one in sorted({*_LOWER, *_UPPER}, key=len, reverse=True)) + b")"
)
# The pieces that one codec reads: a run of low bytes without a control character, a run of high bytes, a line
# end, or a shift (SO, SI).
_RUN = re.compile(rb"[\x20-\x7f]+|[\x80-\xff][\x40-\xff]*|[\x00-\x1f]")
_SHIFT_OUT, _SHIFT_IN = b"\x0e", b"\x0f"


def written_as_bytes(raw: bytes, escape: bytes) -> bytes:
    r"""Return bytes with the switches that are written as `\C2842\` or `\M2442\` replaced by ISO 2022
    escape sequences.
    """
    if len(escape) != 1:
        return raw
    mark = re.escape(escape)

    def switch(found: re.Match[bytes]) -> bytes:
        code = ESCAPE + bytes.fromhex(found[1].decode("ascii"))
        return code if _SWITCH.fullmatch(code) else found[0]

    return re.sub(mark + b"[CM]((?:[0-9A-Fa-f]{2}){2,3})" + mark, switch, raw)


def switches(raw: bytes) -> bool:
    """Return whether bytes switch their character set."""
    return ESCAPE in raw and _SWITCH.search(raw) is not None


def decode_switched(raw: bytes, base: str) -> tuple[str, str]:
    """Return the text, and the codec of its high bytes.

    base: codec of the high bytes before the first switch. A low set ends with the line, as in ISO-2022-JP; a
    high one lasts until the next switch. A byte that is not in its set becomes U+FFFD.
    """
    text: list[str] = []
    lower, upper = b"(B", base
    pieces = _SWITCH.split(raw)
    for at, piece in enumerate(pieces):
        if at % 2:
            if piece in _UPPER:
                upper = _UPPER[piece]
            else:
                lower = piece
            continue
        shifted = False
        for run in _RUN.findall(piece):
            if run in (_SHIFT_OUT, _SHIFT_IN):
                shifted = run == _SHIFT_OUT
            elif run in (b"\r", b"\n"):
                lower, shifted = b"(B", False
                text.append(run.decode("ascii"))
            elif shifted and run[0] < 0x80:
                text.append(bytes(one | 0x80 for one in run).decode(upper, errors="replace"))
            else:
                text.append(_run(run, lower, upper))
    return "".join(text), upper


def _run(run: bytes, lower: bytes, upper: str) -> str:
    if run[0] >= 0x80:
        return run.decode(upper, errors="replace")
    if _LOWER[lower] == "ascii" or run[0] < 0x20:
        return run.decode("ascii")
    begun = ESCAPE + _WRITTEN_OUT.get(lower, lower)
    return (begun + run).decode(_LOWER[lower], errors="replace")

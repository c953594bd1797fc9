"""Acknowledgements: reading a peer's, and writing our own. Pure.

Source: HL7 v2.5.1 chapter 2.9.2 (original mode), 2.9.3 (enhanced mode), table 0008, table 0357.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.messages.hl7.message import Message
from agent.messages.hl7.write import VERSION, Value, control_id, encoded, moment, segment

_LONGEST_WORDS = 200
_LONGEST_MSA_3 = 80


class AcknowledgmentCode(StrEnum):
    """MSA-1."""

    ACCEPTED = "AA"
    ERROR = "AE"
    REJECTED = "AR"
    COMMITTED = "CA"
    COMMIT_ERROR = "CE"
    COMMIT_REJECTED = "CR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A peer's answer: its code, the message that it acknowledges, and the reason in words."""

    code: AcknowledgmentCode
    control_id: str
    words: str


def read_acknowledgement(message: Message) -> Acknowledgement | None:
    """Return the acknowledgement in a message, or None if it is not one."""
    answer = next(message.all("MSA"), None)
    if answer is None:
        return None
    try:
        code = AcknowledgmentCode(answer.text(1).upper())
    except ValueError:
        return None
    return Acknowledgement(code=code, control_id=answer.text(2), words=_words(message))


def _words(message: Message) -> str:
    """Return the peer's reason: ERR-7 and ERR-8, the code's text, or MSA-3 of older versions."""
    found = []
    for one in message.all("ERR"):
        found.append(one.text(8) or one.text(7) or " ".join(filter(None, (one.text(3, 1), one.text(3, 2)))))
        if not found[-1]:
            found[-1] = one.text(1, 4, 2) or one.text(1)
    answer = next(message.all("MSA"))
    found.append(answer.text(3) or answer.text(6, 2))
    words = "; ".join(dict.fromkeys(word for word in found if word))
    return " ".join(words.split())[:_LONGEST_WORDS]


def without(words: str, *secrets: str) -> str:
    """Return a peer's text without the patient data that it quotes: the text is shown in the status and
    logged.
    """
    for secret in sorted({one for one in secrets if len(one) > 1}, key=len, reverse=True):
        words = words.replace(secret, "…")
    return words


def acknowledge(
    message: Message | None, code: AcknowledgmentCode, *, at: datetime, words: str = "", error: str = "207"
) -> bytes:
    """Return our answer to a message; sender and receiver are exchanged.

    words: the reason, in ERR or, for a message that was accepted but not applied, in MSA-3.
    error: HL7 table 0357 (100 segment, 101 field missing, 200 type, 204 unknown key, 207 internal).
    """
    head: dict[int, Value] = {7: moment(at), 11: "P", 12: VERSION}
    if message is not None:
        msh = message.header
        parts = {3: 5, 4: 6, 5: 3, 6: 4}
        head |= {
            ours: tuple(msh.text(theirs, n) for n in (1, 2, 3)) if msh.text(theirs) else ""
            for ours, theirs in parts.items()
        }
        head[11] = msh.text(11, 1) or "P"
        event = message.type.partition("^")[2]
        head[9] = ("ACK", event, "ACK") if event else "ACK"
    else:
        head[9] = "ACK"
    answered = "" if message is None else message.control_id
    head[10] = control_id(f"{code}|{answered}|{moment(at)}")
    accepted = code in (AcknowledgmentCode.ACCEPTED, AcknowledgmentCode.COMMITTED)
    lines = [
        segment("MSA", {1: code.value, 2: answered, **({3: words[:_LONGEST_MSA_3]} if accepted else {})})
    ]
    if not accepted:
        lines.append(segment("ERR", {3: (error, words, "HL70357"), 4: "E", 8: words}))
    return encoded(head, lines, "UNICODE UTF-8")

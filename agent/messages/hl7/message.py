"""A parsed HL7 v2 message, and places in it: `PID-3.1` is component 1 of field 3 of segment PID. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.foundation.settings.hl7 import PLACE
from agent.messages.hl7.encoding import Delimiters, unescaped

# The only event of these message types; version 2.1 does not state it.
_EVENTS = {"ORM": "O01", "ORU": "R01"}
# HL7's notation for a value that is to be deleted.
NULL = '""'


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a value; component and subcomponent count from 1, 0 is the whole field or component."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0


def place_of(words: str) -> Place:
    """Return the place that a text such as `OBR-18` or `PID-3.4.2` names.

    Raises:
        ValueError: it is not a place.
    """
    found = PLACE.fullmatch(words.strip())
    if found is None or int(found[2]) == 0:
        raise ValueError("a place is a segment and a field, such as OBR-18, PID-3.1 or ZDS-1.1")
    return Place(
        segment=found[1],
        field=int(found[2]),
        component=int(found[3] or 0),
        subcomponent=int(found[4] or 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment: `fields[n]` is its field n as it was sent; `fields[0]` its name."""

    name: str
    fields: tuple[str, ...]
    marks: Delimiters
    codec: str

    def raw(self, field: int) -> str:
        """Return a field as it was sent; empty if there is none."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """Return the repetitions of a field as they were sent."""
        raw = self.raw(field)
        return raw.split(self.marks.repetition) if raw else []

    def text(self, field: int, component: int = 0, subcomponent: int = 0) -> str:
        """Return a value of the first repetition; empty if it is absent or is to be deleted."""
        repeated = self.repetitions(field)
        return self.part(repeated[0], component, subcomponent) if repeated else ""

    def part(self, repetition: str, component: int = 0, subcomponent: int = 0) -> str:
        """Return a value of one repetition; a whole one keeps its delimiters."""
        value = repetition
        if component:
            parts = value.split(self.marks.component)
            value = parts[component - 1] if component <= len(parts) else ""
            if subcomponent and self.marks.subcomponent:
                smaller = value.split(self.marks.subcomponent)
                value = smaller[subcomponent - 1] if subcomponent <= len(smaller) else ""
        # No database column and no DICOM value can hold the character NUL.
        return "" if value == NULL else unescaped(value, self.marks, self.codec).replace("\0", "").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message. `codec`: how its bytes were read. `segments`: in order, the header first."""

    segments: tuple[Segment, ...]
    codec: str

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """Message type and event, such as `ORM^O01`; older senders may state the event in EVN-1."""
        code, event = self.header.text(9, 1), self.header.text(9, 2)
        stated = event or self.value(Place(segment="EVN", field=1, component=1))
        return f"{code}^{stated or _EVENTS.get(code.upper(), '')}".upper()

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    @property
    def sender(self) -> tuple[str, str]:
        """Sending application and facility."""
        return self.header.text(3, 1), self.header.text(4, 1)

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments with a name."""
        return (one for one in self.segments if one.name == name)

    def value(self, place: Place) -> str:
        """Return the value at a place, from the first segment of that name that has one."""
        return value_in(self.segments, place)


def value_in(segments: Sequence[Segment], place: Place) -> str:
    """Return the value at a place, from the first of these segments that has one."""
    values = (
        one.text(place.field, place.component or 1, place.subcomponent)
        for one in segments
        if one.name == place.segment
    )
    return next((value for value in values if value), "")

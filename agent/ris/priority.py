"""The priority of an order, from the various values that systems send. Pure.

Source: HL7 v2.5.1 table 0485 (TQ1-9), table 0027 (OBR-5, OBR-27.6, ORC-7.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.foundation.settings.hl7 import Hl7OrderSettings
from agent.messages.hl7.message import Place, Segment, place_of
from agent.objects.header import HIGH_PRIORITY, ROUTINE_PRIORITY, STAT_PRIORITY


def priority_in(segments: Sequence[Segment], mapping: Hl7OrderSettings) -> int | None:
    """Return the most urgent priority in the first field of the mapping that states one, or None.

    Every repetition counts. A number that the mapping does not name is a quantity, as in ORC-7.1.
    """
    stat, high = (set(map(_plain, words)) for words in (mapping.stat_values, mapping.high_values))
    for place in map(place_of, mapping.priority):
        stated = {_plain(value) for value in _values(segments, place)}
        if stated & stat:
            return STAT_PRIORITY
        if stated & high:
            return HIGH_PRIORITY
        if any(not value.isdigit() for value in stated):
            return ROUTINE_PRIORITY
    return None


def _plain(words: str) -> str:
    return " ".join(words.upper().split()).strip(".!")


def _values(segments: Sequence[Segment], place: Place) -> Iterator[str]:
    for one in segments:
        if one.name == place.segment:
            for repetition in one.repetitions(place.field):
                value = one.part(repetition, place.component or 1, place.subcomponent)
                if _plain(value):
                    yield value

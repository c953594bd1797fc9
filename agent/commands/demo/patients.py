"""Fictional patients, in the alphabets and character sets that hospitals use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoName:
    """A made-up name as a DICOM person name, and the SpecificCharacterSet that it is written in."""

    name: str
    character_set: tuple[str, ...]


NAMES: tuple[DemoName, ...] = (
    DemoName(name="PHANTOM^MARY", character_set=()),
    DemoName(name="Müßigmann^Jörg", character_set=("ISO_IR 100",)),
    DemoName(name="Lefèvre-Démo^Zoé", character_set=("ISO_IR 100",)),
    DemoName(name="Демидова^Ольга", character_set=("ISO_IR 144",)),
    DemoName(name="Δοκιμάκης^Νίκος", character_set=("ISO_IR 126",)),
    DemoName(name="تجريبي^سلمى", character_set=("ISO_IR 127",)),
    DemoName(name="דוגמה^נועה", character_set=("ISO_IR 138",)),
    DemoName(name="Mogi^Hana=模擬^花=もぎ^はな", character_set=("", "ISO 2022 IR 87")),
    DemoName(name="Gyeonbon^Minji=견본^민지", character_set=("", "ISO 2022 IR 149")),
    DemoName(name="Yang^Ben=样^本", character_set=("GB18030",)),
    DemoName(name="Näyte^Žofie-Ødegård", character_set=("ISO_IR 192",)),
    DemoName(name="ทดสอบ^มาลี", character_set=("ISO_IR 166",)),
)


def name_of(number: int) -> DemoName:
    """Return the name of the `number`-th demo patient, from 0; the alphabets alternate."""
    return NAMES[number % len(NAMES)]


def birth_date(age: int, study_year: int, chance: np.random.Generator) -> str:
    """Return a date of birth (DA) of someone who is `age` years old at the end of `study_year`."""
    return f"{study_year - age:04d}{int(chance.integers(1, 13)):02d}{int(chance.integers(1, 29)):02d}"

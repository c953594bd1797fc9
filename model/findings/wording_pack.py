"""Writes canonical sentences in another language, from the section `wording` of its pack, and reads them back
exactly.

    [no | possible] [side] [place] [new] [grade] NAME [at PLACE | in place | gone] [comma CHANGE] stop

No spaces and no inflection: what Chinese needs. Every word is in the pack; a name or a place that the
section does not give is the first one of the pack's terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from model.findings.lexicon import Pack
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary
from model.findings.wording_check import DEGREE, TRAILING
from model.findings.wording_english import is_in_place
from model.findings.wording_terms import is_device

MALPOSITION = "malpositioned_device"
NO_FINDING = "no_finding"


class PackWording:
    """The wording of a language, from its pack; `statement` is the inverse of `sentence`."""

    space = ""

    def __init__(self, vocabulary: Vocabulary, pack: Pack) -> None:
        self._vocabulary = vocabulary
        words = pack.wording
        self.titles = (str(words["titles"]["findings"]), str(words["titles"]["impression"]))
        self._words: Mapping[str, str] = {
            key: value for key, value in words.items() if isinstance(value, str)
        }
        self.stop = self._words["stop"]
        self.no_finding = self._words["no_finding"] + self.stop
        self.normal: Mapping[str, str] = {k: v + self.stop for k, v in words["normal"].items()}
        self._names = {key: _name(key, words["names"], vocabulary, pack) for key in vocabulary.concepts}
        self._places = {key: _place(key, words["places"], vocabulary, pack) for key in vocabulary.locations}
        self._sides: Mapping[str, str] = words["sides"]
        self._changes: Mapping[str, str] = words["changes"]
        self._grades: Mapping[str, Mapping[str, str]] = words["grades"]
        self._graded: Mapping[str, str] = {c: kind for kind, keys in words["graded"].items() for c in keys}
        self._pattern = self._compiled()
        self._listed = re.compile(
            rf"{re.escape(self._words['no'])}({_any(self._names.values(), group=False)}"
            rf"(?:(?:{re.escape(self._words['item'])}|{re.escape(self._words['last'])})"
            rf"{_any(self._names.values(), group=False)})*){re.escape(self.stop)}"
        )

    def sentence(self, finding: Finding) -> str:
        """The sentence of one finding."""
        return self._phrase(finding, self._names.get(finding.concept, finding.concept.replace("_", " ")))

    def malpositioned(self, device: Finding) -> str:
        """The sentence for a malpositioned device."""
        return self._phrase(device, self._words["malpositioned"] + self._names[device.concept])

    def denied(self, concepts: Sequence[str]) -> str:
        """The sentence of plain absences."""
        names = [self._names.get(concept, concept.replace("_", " ")) for concept in concepts]
        listed = self._words["item"].join(names[:-1])
        return f"{self._words['no']}{listed}{self._words['last'] if listed else ''}{names[-1]}{self.stop}"

    def statement(self, sentence: str) -> tuple[Finding, ...] | None:
        """The findings in a sentence of this wording, or None if it is not one."""
        if sentence == self.no_finding:
            return (Finding(concept=NO_FINDING, presence=Presence.PRESENT),)
        for concept, normal in self.normal.items():
            if sentence == normal:
                return (Finding(concept=concept, presence=Presence.ABSENT),)
        for candidate in self._candidates(sentence):
            written = self.malpositioned if len(candidate) > 1 else self.sentence
            if written(candidate[0]) == sentence:
                return candidate
        return self._denials(sentence)

    def _phrase(self, finding: Finding, name: str) -> str:
        words, gone = self._words, finding.change is Change.RESOLVED
        device = is_device(finding.concept, self._vocabulary)
        opening = {Presence.ABSENT: words["no"], Presence.INDETERMINATE: words["possible"]}
        parts = ["" if gone else opening.get(finding.presence, "")]
        parts.append("" if finding.laterality is None else self._sides[finding.laterality])
        place = "" if finding.location is None else self._places[finding.location]
        at = bool(place) and (device or finding.concept == MALPOSITION)
        parts += ["" if at else place, words["new"] if finding.change is Change.NEW else ""]
        if finding.severity is not None:
            parts.append(self._grades[self._graded.get(finding.concept, DEGREE)][finding.severity])
        parts += [name, words["at"] + place if at else ""]
        if not place and is_in_place(finding, self._vocabulary):
            parts.append(words["in_place"])
        if gone:
            parts.append(words["removed" if device else "gone"])
        if finding.change in TRAILING:
            parts.append(words["comma"] + self._changes[finding.change])
        return "".join(parts) + self.stop

    def _compiled(self) -> re.Pattern[str]:
        words, optional = self._words, self._optional
        grades = [word for table in self._grades.values() for word in table.values()]
        places = self._places.values()
        return re.compile(
            optional("opening", [words["no"], words["possible"]])
            + optional("side", self._sides.values())
            + optional("place", places)
            + optional("new", [words["new"]])
            + optional("grade", grades)
            + optional("wrong", [words["malpositioned"]])
            + f"(?P<name>{_any(self._names.values())})"
            + f"(?:{re.escape(words['at'])}(?P<at>{_any(places)}))?"
            + optional("in_place", [words["in_place"]])
            + optional("gone", [words["gone"], words["removed"]])
            + f"(?:{re.escape(words['comma'])}(?P<change>{_any(self._changes.values())}))?"
            + re.escape(self.stop)
        )

    @staticmethod
    def _optional(group: str, words: Sequence[str] | Any) -> str:
        return f"(?P<{group}>{_any(words)})?"

    def _candidates(self, sentence: str) -> Iterator[tuple[Finding, ...]]:
        """The findings that the parts of a sentence could state: several concepts may share a name."""
        match = self._pattern.fullmatch(sentence)
        if match is None:
            return
        part, words = match.groupdict(), self._words
        opening = {None: Presence.PRESENT, words["no"]: Presence.ABSENT}
        presence = opening.get(part["opening"], Presence.INDETERMINATE)
        change = _key(self._changes, part["change"])
        place = _key(self._places, part["place"] or part["at"])
        grades = [s for table in self._grades.values() for s, word in table.items() if word == part["grade"]]
        gone = bool(part["gone"])
        for concept in (key for key, name in self._names.items() if name == part["name"]):
            finding = Finding(
                concept=concept,
                presence=Presence.ABSENT if gone else presence,
                laterality=None
                if part["side"] is None
                else Laterality(_key(self._sides, part["side"]) or ""),
                location=place,
                severity=Severity(grades[0]) if grades else None,
                change=Change.RESOLVED
                if gone
                else Change.NEW
                if part["new"]
                else Change(change)
                if change
                else None,
            )
            yield (finding, replace(finding, concept=MALPOSITION)) if part["wrong"] else (finding,)

    def _denials(self, sentence: str) -> tuple[Finding, ...] | None:
        match = self._listed.fullmatch(sentence)
        if match is None:
            return None
        parts = re.split(f"{re.escape(self._words['item'])}|{re.escape(self._words['last'])}", match[1])
        concepts = [_key(self._names, name) for name in parts]
        listed = [concept for concept in concepts if concept is not None]
        if len(listed) != len(concepts) or self.denied(listed) != sentence:
            return None
        return tuple(Finding(concept=concept, presence=Presence.ABSENT) for concept in listed)


@lru_cache(maxsize=16)
def pack_wording(vocabulary: Vocabulary, language: str) -> PackWording | None:
    """The wording of a language's pack, or None if the pack has none."""
    pack = vocabulary.packs.get(language)
    return PackWording(vocabulary, pack) if pack is not None and pack.wording else None


def _name(key: str, names: Mapping[str, str], vocabulary: Vocabulary, pack: Pack) -> str:
    own = pack.terms.concepts.get(key, {}).get("synonyms", ())
    return str(names.get(key) or next(iter(own), vocabulary.concepts[key].name))


def _place(key: str, places: Mapping[str, str], vocabulary: Vocabulary, pack: Pack) -> str:
    return str(
        places.get(key) or next(iter(pack.terms.locations.get(key, ())), vocabulary.locations[key].name)
    )


def _key(table: Mapping[str, str], word: str | None) -> str | None:
    return next((key for key, value in table.items() if value == word), None)


def _any(words: Sequence[str] | Any, *, group: bool = True) -> str:
    listed = "|".join(map(re.escape, sorted({str(word) for word in words}, key=lambda w: (-len(w), w))))
    return listed if group else f"(?:{listed})"

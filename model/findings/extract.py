"""From a chest report to its findings: concept, presence, side, place, severity, change, evidence.

Characters are normalised (`text.characters`), the language is detected (`detect`), the report is split into
sections and sentences (`text.sentences`), each sentence is read separately (`reading`), and the results are
merged (`merge`). A concept that no sentence states is not mentioned: silence never yields a finding, and
every finding quotes its sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from model.findings.detect import Language, foreign_sentence, language_of, may_be_mixed
from model.findings.merge import Read, merged
from model.findings.reading import NO_FINDING, explained
from model.findings.spans import Reader, reader_for
from model.findings.speech.answers import is_answer
from model.findings.speech.corrections import move_to, replace_concepts, side_of
from model.findings.speech.repairs import takes_back
from model.findings.text.characters import Plain, plain
from model.findings.text.choices import REASON, is_unmade, other_choices
from model.findings.text.fields import with_sides
from model.findings.text.headings import Kind
from model.findings.text.leads import with_leads
from model.findings.text.presentations import without_presentations
from model.findings.text.questions import with_answers
from model.findings.text.resumption import resumption
from model.findings.text.sections import BodyStart
from model.findings.text.sentences import Sentence, sentences_of
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary

MAX_CHARACTERS = 40_000  # a longer text is not a chest report; the rest is not read
SURVEY = 3  # denied classes that make a report a survey of the chest


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReading:
    """The findings in a report, and the passages that could not be read.

    `language` is the code of the language that the report was read in, "" if it was refused. `reads` are all
    mentions with the rule that decided, including those that state nothing. `refused` are passages that were
    not read, with the reason; nothing is guessed from them.
    """

    findings: tuple[Finding, ...]
    language: str
    reads: tuple[Read, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader must know about the passages that were not read, each reason once."""
        return tuple(
            dict.fromkeys(f"{reason[:1].upper()}{reason[1:]}: not read." for _, reason in self.refused)
        )

    @property
    def locale(self) -> str:
        """The language tag of the text (RFC 5646); `und` where no pack reads it."""
        return self.language or "und"


def extract_findings(text: str, vocabulary: Vocabulary | None = None) -> tuple[Finding, ...]:
    """The findings that a report states, in the order in which it states them first.

    Findings of one concept and presence whose attributes agree are merged, with the most specific
    attributes; left and right are kept separate. A concept that is not mentioned has no finding. Any text is
    accepted; only the beginning of a text longer than `MAX_CHARACTERS` is read, and nothing of a text in a
    language without a pack.
    """
    return read_report(text, vocabulary).findings


def read_sections(
    findings: Iterable[str], impression: Iterable[str], vocabulary: Vocabulary | None = None
) -> ReportReading:
    """Like `read_report`, for a report given as the lines of its two sections, without titles.

    The titles come from the pack of the lines' own language: an English title above them would make a
    foreign text look English.
    """
    vocabulary = vocabulary or load_vocabulary()
    above, below = list(findings), list(impression)
    body = "\n".join((*above, "", *below))
    language = language_of(plain(body[:MAX_CHARACTERS]).text, vocabulary)
    if not language.pack:
        return read_report(body, vocabulary)
    names = vocabulary.packs[language.pack].headings.names
    title = {kind: next((name for name, of in names.items() if of == kind), "") for kind in _SECTIONS}
    parts = [f"{title['findings']}:", *above, "", f"{title['conclusion']}:", *below]
    return _read(plain("\n".join(parts)[:MAX_CHARACTERS]), reader_for(vocabulary, language.pack), language)


_SECTIONS: tuple[Kind, ...] = ("findings", "conclusion")


def read_report(text: str, vocabulary: Vocabulary | None = None) -> ReportReading:
    """Like `extract_findings`, with the language, the reasons, and what was not read."""
    vocabulary = vocabulary or load_vocabulary()
    source = plain(text[:MAX_CHARACTERS])
    language = language_of(source.text, vocabulary)
    if not language.pack:
        reason = f"the report is in another language ({language.name}) than {_names(vocabulary)}"
        return ReportReading(findings=(), language="", refused=((text.strip()[:200], reason),))
    reader = reader_for(vocabulary, language.pack)
    return _read(source, reader, language)


def _read(source: Plain, reader: Reader, language: Language) -> ReportReading:
    vocabulary, pack = reader.vocabulary, reader.pack
    reads: list[list[Read]] = []
    refused: list[tuple[str, str]] = []
    unread: list[str] = []
    mixed = may_be_mixed(source.text, language, vocabulary)
    sentences = without_presentations(_sentences(source.text, reader), reader)
    if "\n" in source.text:
        sentences = list(with_leads(source.text, sentences, reader))
    for sentence in sentences:
        start, end = source.passage(sentence.start, sentence.end)
        evidence = source.original[start:end]
        reason = foreign_sentence(sentence.text, language, vocabulary) if mixed else ""
        if not reason and is_unmade(reader, sentence.text):
            reason = REASON
        if reason:
            refused.append((evidence, reason))
            continue
        taken = takes_back(sentence.text, pack)
        moved = None
        if taken and reads:
            moved = side_of(reader, sentence.text)
        if taken == "all" and reads and moved is None:  # "Scratch that."
            reads[-1] = []
        found = list(_placed(_read_sentence(reader, sentence), evidence, (start, end)))
        if not found:
            unread.append(evidence)
        reads.append(found)
        if taken == "same" and found:
            replace_concepts(reads)
        elif taken and found and moved is not None:
            reads[-2] = []
        elif moved is not None:
            move_to(reads, moved, vocabulary)
    listed = [read for found in reads for read in found]
    return ReportReading(
        findings=merged(listed, vocabulary),
        language=language.pack,
        reads=tuple(listed),
        refused=tuple(refused),
        unread=tuple(unread),
    )


def _sentences(text: str, reader: Reader) -> Sequence[Sentence]:
    pack = reader.pack
    found = sentences_of(
        text, pack.headings, BodyStart(openers=pack.body_openers, states=resumption(reader)), reader.joins
    )
    if ":" in text or "|" in text or "\t" in text:
        found = tuple(with_sides(text, found, reader))
    if "?" not in text:
        return found
    return with_answers(text, found, lambda answer: is_answer(reader.mark(answer.strip(" .!"))))


def _read_sentence(reader: Reader, sentence: Sentence) -> tuple[Read, ...]:
    dropped = [(a - sentence.start, b - sentence.start) for a, b in sentence.dropped]
    if sentence.lead:
        return explained(reader, f"{sentence.lead} {sentence.text}", (), sentence.label)
    return explained(reader, sentence.text, (*dropped, *other_choices(sentence.text)), sentence.label)


def _placed(found: Iterable[Read], evidence: str, span: tuple[int, int]) -> Iterator[Read]:
    """Evidence is the passage in the original text, not in the normalised one."""
    for read in found:
        finding = read.finding
        if finding is None:
            yield read
            continue
        placed = Finding(
            concept=finding.concept,
            presence=finding.presence,
            laterality=finding.laterality,
            location=finding.location,
            severity=finding.severity,
            change=finding.change,
            evidence=evidence,
            span=span,
        )
        yield Read(placed, read.weak, read.why)


def _names(vocabulary: Vocabulary) -> str:
    names = [pack.name for pack in vocabulary.packs.values()]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def chexpert_classes(
    findings: Iterable[Finding], vocabulary: Vocabulary | None = None
) -> dict[str, Presence]:
    """The roll-up to the CheXpert classes that are mentioned: present, else indeterminate, else absent.

    `No Finding` is present if nothing but devices is present or possible and the report says so ("no
    acute abnormality") or denies at least three classes: one denied finding is not a normal chest.
    Source: Irvin et al., "CheXpert", section 3 (labels are aggregated with this priority).
    """
    vocabulary = vocabulary or load_vocabulary()
    known = [(vocabulary.concepts[f.concept], f) for f in findings if f.concept in vocabulary.concepts]
    classes: dict[str, Presence] = {}
    for concept, finding in known:
        if concept.chexpert and concept.key != NO_FINDING:
            classes[concept.chexpert] = stronger(classes.get(concept.chexpert), finding.presence)
    positive = any(
        f.presence is not Presence.ABSENT and not c.device and c.key != NO_FINDING for c, f in known
    )
    says_so = any(c.key == NO_FINDING and f.presence is Presence.PRESENT for c, f in known)
    if not positive and (says_so or len(set(classes) - {"Support Devices"}) >= SURVEY):
        classes["No Finding"] = Presence.PRESENT
    return {name: classes[name] for name in vocabulary.chexpert_classes if name in classes}


def stronger(first: Presence | None, second: Presence) -> Presence:
    """The one of two statements that a summary shows: present, else indeterminate, else absent."""
    order = (Presence.PRESENT, Presence.INDETERMINATE, Presence.ABSENT)
    return second if first is None else min(first, second, key=order.index)

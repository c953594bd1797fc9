"""Measures how well text is read: precision, recall and F1 per concept and presence, against annotated
text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

from model.findings.agreement import ATTRIBUTES, NAMES, Counts, stated_attributes, turned
from model.findings.examples import AnnotatedText, Format
from model.findings.extract import chexpert_classes, extract_findings
from model.findings.given import presence_of
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptCounts:
    """Counts for one concept (or class) and presence; rates are 0 to 1, and 0 where nothing was counted."""

    concept: str
    presence: str
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Share of the read findings that are annotated."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the annotated findings that were read."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        doubled = 2 * self.true_positives
        return _ratio(doubled, doubled + self.false_positives + self.false_negatives)

    @property
    def support(self) -> int:
        """Number of annotations."""
        return self.true_positives + self.false_negatives


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The result over a file.

    `macro_f1` is the mean F1 over every concept and presence that is annotated or was read; `accuracy`
    the share of examples that are entirely right (NegEx: negated against not negated);
    `attribute_accuracy` the share of sides, places, severities and changes that are right among the
    findings read correctly (`None` where the format has none); `stated` counts them each by itself, where the
    annotation or the reading states one. `turned_round` counts findings read as their opposite: present as
    absent, absent as present (NegEx: negated as affirmed, affirmed as negated).
    """

    format: Format
    examples: int
    rows: tuple[ConceptCounts, ...]
    micro: ConceptCounts
    macro_f1: float
    accuracy: float
    attribute_accuracy: float | None
    turned_round: int
    stated: Counts
    wrong: tuple[str, ...]  # ids of the examples that are not entirely right

    def as_json(self) -> dict[str, object]:
        """A plain mapping for JSON; rates with four digits."""
        result = asdict(replace(self, stated=Counter()))
        result["stated"] = {
            NAMES[name]: {"right": self.stated[name, True], "wrong": self.stated[name, False]}
            for name in ATTRIBUTES
        }
        result["rows"] = [_row_json(row) for row in self.rows]
        result["micro"] = _row_json(self.micro)
        for name in ("macro_f1", "accuracy", "attribute_accuracy"):
            result[name] = None if result[name] is None else round(result[name], 4)
        return result


def evaluate(examples: Sequence[AnnotatedText], form: Format, vocabulary: Vocabulary) -> Evaluation:
    """Read every example and compare with its annotation."""
    if form == "negex":
        return _summary(form, [_negex(example, vocabulary) for example in examples])
    if form == "chexpert":
        return _summary(form, [_chexpert(example, vocabulary) for example in examples])
    return _summary(form, [_findings(example, vocabulary) for example in examples])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    id: str
    gold: frozenset[tuple[str, str]]
    read: frozenset[tuple[str, str]]
    right: bool
    attributes: tuple[int, int] = (0, 0)  # right, all
    turned: int = 0
    stated: Counts = field(default_factory=Counter)


def _findings(example: AnnotatedText, vocabulary: Vocabulary) -> _Compared:
    read = extract_findings(example.text, vocabulary)
    right, total = _attributes(example.findings, read)
    gold_pairs = frozenset((f.concept, f.presence.value) for f in example.findings)
    read_pairs = frozenset((f.concept, f.presence.value) for f in read)
    return _Compared(
        id=example.id,
        gold=gold_pairs,
        read=read_pairs,
        turned=turned(gold_pairs, read_pairs),
        stated=stated_attributes(example.findings, read),
        right={_values(f) for f in example.findings} == {_values(f) for f in read},
        attributes=(right, total),
    )


def _negex(example: AnnotatedText, vocabulary: Vocabulary) -> _Compared:
    negated = presence_of(example.text, example.concept, vocabulary) is Presence.ABSENT
    names = {True: "negated", False: "affirmed"}
    gold, read = ("concept", names[example.negated]), ("concept", names[negated])
    right = gold == read
    return _Compared(
        id=example.id, gold=frozenset({gold}), read=frozenset({read}), right=right, turned=not right
    )


def _chexpert(example: AnnotatedText, vocabulary: Vocabulary) -> _Compared:
    classes = chexpert_classes(extract_findings(example.text, vocabulary), vocabulary)
    gold = frozenset((name, str(presence)) for name, presence in (example.classes or {}).items())
    read = frozenset((name, str(presence)) for name, presence in classes.items())
    return _Compared(id=example.id, gold=gold, read=read, right=gold == read, turned=turned(gold, read))


def _attributes(gold: Iterable[Finding], read: Iterable[Finding]) -> tuple[int, int]:
    """Correct attributes among findings with correct concept and presence; each gold one with its best
    match.
    """
    candidates = list(read)
    right = total = 0
    for finding in gold:
        same = [f for f in candidates if (f.concept, f.presence) == (finding.concept, finding.presence)]
        if not same:
            continue
        right += max(sum(getattr(f, name) == getattr(finding, name) for name in ATTRIBUTES) for f in same)
        total += len(ATTRIBUTES)
    return right, total


def _values(finding: Finding) -> tuple[object, ...]:
    return (finding.concept, finding.presence, *(getattr(finding, name) for name in ATTRIBUTES))


def _summary(form: Format, compared: Sequence[_Compared]) -> Evaluation:
    hits: Counter[tuple[str, str]] = Counter()
    extra: Counter[tuple[str, str]] = Counter()
    missed: Counter[tuple[str, str]] = Counter()
    for one in compared:
        hits.update(one.gold & one.read)
        extra.update(one.read - one.gold)
        missed.update(one.gold - one.read)
    rows = tuple(
        ConceptCounts(
            concept=key[0],
            presence=key[1],
            true_positives=hits[key],
            false_positives=extra[key],
            false_negatives=missed[key],
        )
        for key in sorted({*hits, *extra, *missed})
    )
    micro = ConceptCounts(
        concept="all",
        presence="all",
        true_positives=hits.total(),
        false_positives=extra.total(),
        false_negatives=missed.total(),
    )
    right, total = (sum(one.attributes[i] for one in compared) for i in (0, 1))
    return Evaluation(
        format=form,
        examples=len(compared),
        rows=rows,
        micro=micro,
        macro_f1=_ratio(sum(row.f1 for row in rows), len(rows)),
        accuracy=_ratio(sum(one.right for one in compared), len(compared)),
        attribute_accuracy=_ratio(right, total) if total else None,
        turned_round=sum(one.turned for one in compared),
        stated=sum((one.stated for one in compared), Counter()),
        wrong=tuple(one.id for one in compared if not one.right),
    )


def _row_json(row: ConceptCounts) -> dict[str, object]:
    rates = {name: round(getattr(row, name), 4) for name in ("precision", "recall", "f1")}
    return {"concept": row.concept, "presence": row.presence, **rates, "support": row.support}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

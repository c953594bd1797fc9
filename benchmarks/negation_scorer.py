"""Does a trained scorer of denials beat the rules, on text that it was not trained on?

    python -m benchmarks.negation_scorer negex_rsAnnotations.txt TEXTS...

A logistic regression over the words around a mention, their distance and side, decides whether the mention
is denied. It is trained on four fifths of NegEx (ward English, Chapman et al.) and this project's dictated
kinds, and compared with the rules on the last fifth and on files of `text ||| expectations` by other authors.
`both` uses the rules' verdict as an additional feature. The rules were corrected on all of these texts; the
scorer has seen only its training texts.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from model.findings.examples import read_examples
from model.findings.expectations import expectations
from model.findings.extract import read_report
from model.findings.given import locate, presence_of
from model.findings.spans import Reader, Span, reader_for
from model.findings.types import Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary

REACH = 8  # words on each side
KINDS = Path("tests/data/dictation_kinds.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A mention with the words around it, the rules' verdict, and whether it is denied."""

    features: dict[str, float]
    rules: bool
    denied: bool


def case(reader: Reader, sentence: str, mention: Span, *, rules: bool, denied: bool) -> Case:
    """The features of a mention: each word near it with its side, and with its distance in three steps."""
    words = [token.word for token in reader.tokens(sentence)]
    features: dict[str, float] = {}
    for side, near in (
        ("before", words[max(0, mention.start - REACH) : mention.start][::-1]),
        ("behind", words[mention.end : mention.end + REACH]),
    ):
        for distance, word in enumerate(near):
            features[f"{side} {word}"] = 1.0
            features[f"{side} {min(distance // 2, 2)} {word}"] = 1.0
            if distance + 1 < len(near):
                features[f"{side} {word} {near[distance + 1]}"] = 1.0
    return Case(features=features, rules=rules, denied=denied)


def of_negex(path: Path, vocabulary: Vocabulary) -> Iterator[tuple[str, Case]]:
    """(id, case) of each annotated sentence."""
    reader = reader_for(vocabulary)
    for example in read_examples(path.read_text(encoding="utf-8"), vocabulary):
        mention = locate(reader, example.text, example.concept)
        if mention is not None:
            rules = presence_of(example.text, example.concept, vocabulary) is Presence.ABSENT
            yield example.id, case(reader, example.text, mention, rules=rules, denied=example.negated)


def of_expectations(path: Path, vocabulary: Vocabulary) -> Iterator[Case]:
    """The cases of one-sentence texts: findings that are expected present or absent and are named once."""
    reader = reader_for(vocabulary)
    for text in expectations(path.read_text(encoding="utf-8").splitlines()):
        if "\n" in text.text or not text.text.isascii():
            continue
        found = read_report(text.text, vocabulary).findings
        for item in text.items:
            concept = item[1:].split("@")[0].split("%")[0].split("~")[0].split("#")[0]
            named = [t for t in reader.mark(text.text).terms if t.key == concept]
            if item[0] in "+-" and len(named) == 1:
                said = {f.presence for f in found if f.concept == concept}
                rules = said == {Presence.ABSENT}
                yield case(reader, text.text, named[0], rules=rules, denied=item[0] == "-")


def trained(cases: Sequence[Case], *, with_rules: bool) -> Pipeline:
    """A logistic regression on the cases."""
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=4.0, max_iter=1000))
    return model.fit([_features(c, with_rules) for c in cases], [c.denied for c in cases])


def compare(name: str, cases: Sequence[Case], scorer: Pipeline, both: Pipeline) -> None:
    """Print the accuracy of the rules, of the scorer and of both together."""
    truth = [c.denied for c in cases]
    verdicts = {
        "rules": [c.rules for c in cases],
        "scorer": scorer.predict([_features(c, False) for c in cases]),
        "both": both.predict([_features(c, True) for c in cases]),
    }
    shares = (
        f"{kind} {sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth):.3f}"
        for kind, said in verdicts.items()
    )
    print(f"{name:32} {len(cases):5}   " + "   ".join(shares))


def main() -> None:
    """Train, compare and print."""
    vocabulary = load_vocabulary()
    negex = list(of_negex(Path(sys.argv[1]), vocabulary))
    held_out = [c for key, c in negex if zlib.crc32(key.encode()) % 5 == 0]
    training = [c for key, c in negex if zlib.crc32(key.encode()) % 5]
    training += of_expectations(KINDS, vocabulary)
    scorer, both = trained(training, with_rules=False), trained(training, with_rules=True)
    print(f"trained on {len(training)} mentions")
    compare("NegEx, held out", held_out, scorer, both)
    for name in sys.argv[2:]:
        compare(Path(name).name, list(of_expectations(Path(name), vocabulary)), scorer, both)


def _features(one: Case, with_rules: bool) -> dict[str, float]:
    return {**one.features, "rules": float(one.rules)} if with_rules else one.features


if __name__ == "__main__":
    main()

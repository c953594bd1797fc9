"""Free dictation of a phantom's truth: varied wording and order, abbreviations, normal regions left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from model.findings.types import Finding, Laterality, Severity
from model.phantom import phrases
from model.phantom.spec import DEVICE_CONCEPTS, PhantomSpec

_MENTIONED = 0.55  # share of normal regions that a dictation mentions
_ADVERBS = {Severity.MILD: "mildly", Severity.MODERATE: "moderately", Severity.SEVERE: "severely"}


def dictated_report(spec: PhantomSpec, rng: np.random.Generator) -> str:
    """A dictated report of a phantom study; each call with the same generator gives a different one.

    All present findings are stated, with their side, zone and severity; absent ones only occasionally. The
    text agrees with `spec.truth`.
    """
    positives = _positive_sentences(spec, rng)
    normals = _normal_sentences(spec, rng)
    style = rng.choice(("sections", "sections", "plain", "impression_first", "numbered"))
    body = _ordered(positives, normals, rng)
    if rng.random() < 0.35:
        body.insert(0, _pick(phrases.TECHNIQUE[spec.has_lateral], rng))
    impression = _impression(spec, rng)
    match style:
        case "plain":
            text = " ".join([*body, *(impression if rng.random() < 0.5 else [])])
        case "impression_first":
            text = f"IMPRESSION: {' '.join(impression)} FINDINGS: {' '.join(body)}"
        case "numbered":
            items = " ".join(f"{n}. {sentence}" for n, sentence in enumerate(impression, 1))
            text = f"FINDINGS: {' '.join(body)}\nIMPRESSION: {items}"
        case _:
            text = f"FINDINGS: {' '.join(body)} IMPRESSION: {' '.join(impression)}"
    return text.upper() if rng.random() < 0.04 else text


def dictated_sentence(finding: Finding, rng: np.random.Generator) -> str:
    """One of the many ways to dictate one present finding."""
    key = finding.concept
    for variant in (finding.laterality, finding.location):
        if variant is not None and f"{finding.concept}/{variant}" in phrases.PRESENT:
            key = f"{finding.concept}/{variant}"
    template = _pick(phrases.PRESENT[key], rng)
    side = str(finding.laterality or "")
    abbreviation = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}.get(finding.laterality, side)  # type: ignore[arg-type]
    severity, adverb = "", ""
    if finding.severity is not None:
        words = phrases.SIZES if finding.concept in phrases.SIZED else phrases.DEGREES
        severity, adverb = _pick(words[finding.severity], rng), _ADVERBS[finding.severity]
    zone = _pick(phrases.ZONES[finding.location], rng) if finding.location in phrases.ZONES else ""
    text = template.format(sev=severity, sevly=adverb, side=side, abbr=abbreviation, zone=zone)
    return _tidy(text)


def _positive_sentences(spec: PhantomSpec, rng: np.random.Generator) -> list[str]:
    # The malposition is dictated with the tube.
    stated = [finding for finding in spec.findings if finding.concept != "malpositioned_device"]
    return [dictated_sentence(finding, rng) for finding in stated]


def _normal_sentences(spec: PhantomSpec, rng: np.random.Generator) -> list[str]:
    present = {finding.concept for finding in spec.findings}
    said: set[str] = set()
    sentences = []
    for index in rng.permutation(len(phrases.NORMAL)):
        concepts, wordings = phrases.NORMAL[index]
        new = set(concepts)
        if new & present or new & said or rng.random() > _MENTIONED:
            continue
        said |= new
        sentences.append(_pick(wordings, rng))
    return sentences


def _ordered(positives: list[str], normals: list[str], rng: np.random.Generator) -> list[str]:
    if rng.random() < 0.5:  # abnormal findings first
        order = rng.permutation(len(positives))
        return [*(positives[i] for i in order), *normals]
    everything = positives + normals
    return [everything[i] for i in rng.permutation(len(everything))]


def _impression(spec: PhantomSpec, rng: np.random.Generator) -> list[str]:
    worth = [f for f in spec.findings if f.concept not in DEVICE_CONCEPTS or f.location is not None]
    worth = [f for f in worth if f.concept != "malpositioned_device"]
    if not worth:
        return [_pick(phrases.NORMAL_IMPRESSION, rng)]
    return [dictated_sentence(worth[i], rng) for i in rng.permutation(len(worth))]


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\ba (?=[aeiou])", "an ", text)
    text = re.sub(r"\bA (?=[aeiou])", "An ", text)
    return text[0].upper() + text[1:]

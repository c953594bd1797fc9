"""Maps the vocabulary's concepts and places to coded concepts, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydicom.sr.coding import Code

from dicom_sr.codes import PRIVATE_SCHEME, SITE
from dicom_sr.errors import ContentError
from model.findings.types import Finding
from model.findings.vocabulary import Concept, Vocabulary, load_vocabulary

CodeKey = tuple[str, str]  # (scheme designator, value): what two equal codes share
NO_FINDING = "no_finding"  # the statement that nothing is abnormal: it has a presence but is not a finding
_DEVICE_FAULTS = frozenset({"malpositioned_device"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One concept of the vocabulary, in the form needed for the documents."""

    key: str
    code: Code
    site: Code
    abnormal: bool  # whether its presence makes a study abnormal (a device in place does not)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminology:
    """Codes of concepts and places, and the reverse mapping from a code to its possible keys."""

    terms: Mapping[str, Term]
    locations: Mapping[str, Code]
    concepts_by_code: Mapping[CodeKey, tuple[str, ...]]
    locations_by_code: Mapping[CodeKey, str]

    def term(self, finding: Finding) -> Term:
        """The term of a finding's concept.

        Raises:
            ContentError: the vocabulary does not hold the concept.
        """
        try:
            return self.terms[finding.concept]
        except KeyError:
            raise ContentError(
                f"concept {finding.concept!r} is not in the vocabulary: add it with a code there"
            ) from None

    def location(self, key: str) -> Code:
        """The coded place of a finding.

        Raises:
            ContentError: the vocabulary does not hold the place.
        """
        try:
            return self.locations[key]
        except KeyError:
            raise ContentError(f"location {key!r} is not in the vocabulary: add it there") from None


def code_key(code: Code) -> CodeKey:
    """The identity of a code: scheme and value, not the meaning."""
    return code.scheme_designator, code.value


@lru_cache(maxsize=8)
def terminology_of(vocabulary: Vocabulary) -> Terminology:
    """The terminology of a vocabulary: the shipped one or a hospital's.

    Raises:
        ContentError: a concept's default site has no code.
    """
    return build_terminology(
        {key: _term(concept) for key, concept in vocabulary.concepts.items()},
        {key: Code(key, PRIVATE_SCHEME, place.name) for key, place in vocabulary.locations.items()},
    )


def default_terminology() -> Terminology:
    """The terminology of the vocabulary that the project ships."""
    return terminology_of(load_vocabulary())


def build_terminology(terms: Mapping[str, Term], locations: Mapping[str, Code]) -> Terminology:
    """A terminology with its reverse mapping."""
    by_code: defaultdict[CodeKey, list[str]] = defaultdict(list)
    for term in terms.values():
        by_code[code_key(term.code)].append(term.key)
    return Terminology(
        terms=terms,
        locations=locations,
        concepts_by_code={code: tuple(keys) for code, keys in by_code.items()},
        locations_by_code={code_key(code): key for key, code in locations.items()},
    )


def _term(concept: Concept) -> Term:
    site = SITE.get(concept.site)
    if site is None:
        raise ContentError(
            f"site {concept.site!r} of concept {concept.key!r} has no code: use one of {list(SITE)}"
        )
    return Term(
        key=concept.key,
        code=Code(concept.code.value, concept.code.scheme, concept.code.meaning),
        site=site,
        abnormal=concept.key != NO_FINDING and (not concept.device or concept.key in _DEVICE_FAULTS),
    )

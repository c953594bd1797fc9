"""The vocabulary's concepts and places as coded concepts, both ways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import yaml
from pydicom.sr.coding import Code

from dicom_sr.codes import PRIVATE_SCHEME, SITE
from dicom_sr.errors import ContentError
from model.findings.types import Finding

CodeKey = tuple[str, str]  # (scheme designator, value): what two equal codes share
NO_FINDING = "no_finding"  # the statement that nothing is abnormal: it has a presence but is no finding
SUPPORT_DEVICES = "Support Devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One concept of the vocabulary, as the documents need it."""

    key: str
    code: Code
    site: Code
    abnormal: bool  # whether its presence makes a study abnormal: a device in place does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminology:
    """Codes of concepts and places, and the way back from a code to the keys that it may stand for."""

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
    """What makes two codes the same: scheme and value, not the words."""
    return code.scheme_designator, code.value


@lru_cache(maxsize=1)
def default_terminology() -> Terminology:
    """The terminology of the vocabulary that the project ships."""
    raw = yaml.safe_load(resources.files("model.findings").joinpath("vocabulary.yaml").read_text("utf-8"))
    terms = {}
    for key, entry in raw["concepts"].items():
        scheme, value, meaning = entry["code"]
        roll_up = entry.get("chexpert")
        terms[key] = Term(
            key=key,
            code=Code(str(value), scheme, meaning),
            site=SITE[entry["site"]],
            abnormal=key != NO_FINDING and (roll_up != SUPPORT_DEVICES or key == "malpositioned_device"),
        )
    locations = {
        key: Code(key, PRIVATE_SCHEME, entry if isinstance(entry, str) else entry["name"])
        for key, entry in raw["locations"].items()
    }
    return build_terminology(terms, locations)


def build_terminology(terms: Mapping[str, Term], locations: Mapping[str, Code]) -> Terminology:
    """A terminology with its way back."""
    by_code: defaultdict[CodeKey, list[str]] = defaultdict(list)
    for term in terms.values():
        by_code[code_key(term.code)].append(term.key)
    return Terminology(
        terms=terms,
        locations=locations,
        concepts_by_code={code: tuple(keys) for code, keys in by_code.items()},
        locations_by_code={code_key(code): key for key, code in locations.items()},
    )

"""Splits a report's text at its headings: indication, comparison, findings, impression."""

from __future__ import annotations

import re

_NAMES = {
    "findings": ("findings", "finding", "report", "description"),
    "impression": ("impression", "impressions", "conclusion", "conclusions", "opinion", "summary"),
    "indication": ("indication", "indications", "history", "clinical history", "clinical information",
                   "clinical indication", "reason for exam", "reason for examination"),
    "comparison": ("comparison", "comparisons", "comparison study"),
    "": ("technique", "examination", "exam", "procedure", "study", "views", "final report", "notification",
         "recommendation", "recommendations", "wet read", "addendum"),
}  # fmt: skip
_MEANING = {heading: name for name, headings in _NAMES.items() for heading in headings}
# A heading begins a line, is one of the known ones, and ends in a colon; MIMIC-CXR also has bare ones.
_HEADING = re.compile(
    r"^[ \t]*(" + "|".join(sorted(map(re.escape, _MEANING), key=len, reverse=True)) + r")[ \t]*(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)


def split_report(text: str) -> dict[str, str]:
    """The non-empty sections of a report by key, with white space collapsed.

    Text under a heading that is not used in training (technique, recommendation) is left out. Without any
    known heading the whole text is findings.
    """
    found = list(_HEADING.finditer(text))
    if not any(_MEANING[match.group(1).lower()] in ("findings", "impression") for match in found):
        body = _single(text if not found else text[found[-1].end() :])
        return {"findings": body} if body else {}
    sections: dict[str, list[str]] = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        name = _MEANING[match.group(1).lower()]
        body = _single(text[match.end() : following.start() if following else len(text)])
        if name and body:
            sections.setdefault(name, []).append(body)
    return {name: " ".join(parts) for name, parts in sections.items()}


def _single(text: str) -> str:
    return " ".join(text.split())

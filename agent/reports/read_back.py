"""Ensures that no findings document is stored that an independent reader decodes differently from what
was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicom_sr.document import DocumentPair, encode
from dicom_sr.independent import read_back
from model.findings.types import Finding


def checked(documents: Mapping[str, DocumentPair], findings: Sequence[Finding]) -> Mapping[str, DocumentPair]:
    """Return the documents after each findings document's bytes have been read back.

    Raises:
        ReadBackError: another reader decodes one of them differently.
    """
    for pair in documents.values():
        read_back(encode(pair.findings), findings)
    return documents

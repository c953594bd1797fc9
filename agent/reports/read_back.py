"""No findings document is stored that an independent reader reads otherwise than it was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicom_sr.document import DocumentPair, encode
from dicom_sr.independent import read_back
from model.findings.types import Finding


def checked(documents: Mapping[str, DocumentPair], findings: Sequence[Finding]) -> Mapping[str, DocumentPair]:
    """Return the documents, once the bytes of each findings document were read back.

    Raises:
        ReadBackError: one of them says something else to another reader.
    """
    for pair in documents.values():
        read_back(encode(pair.findings), findings)
    return documents

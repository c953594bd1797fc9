"""Small builders of content items: one line each where a tree is put together.

They wrap highdicom's value types, which check relationship types, lengths and value types.
"""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    PnameContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.sr.coding import Code

from dicom_sr import codes
from dicom_sr.charset import clean
from dicom_sr.errors import ContentError

CONTAINS = RelationshipTypeValues.CONTAINS
CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD
OBS_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
ACQ_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
INFERRED_FROM = RelationshipTypeValues.INFERRED_FROM

_LANGUAGE_NAMES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian"}


def text(name: Code, value: str, relationship: RelationshipTypeValues = CONTAINS) -> TextContentItem:
    """A TEXT item; the words are cleaned of control characters and must not be empty.

    Raises:
        ContentError: nothing is left to say.
    """
    words = clean(value)
    if not words:
        raise ContentError(f"the text of {name.meaning!r} is empty: leave the item out instead")
    return TextContentItem(name=name, value=words, relationship_type=relationship)


def code(name: Code, value: Code, relationship: RelationshipTypeValues = CONTAINS) -> CodeContentItem:
    """A CODE item."""
    return CodeContentItem(name=name, value=value, relationship_type=relationship)


def number(
    name: Code, value: float, unit: Code, relationship: RelationshipTypeValues = CONTAINS
) -> NumContentItem:
    """A NUM item."""
    return NumContentItem(name=name, value=value, unit=unit, relationship_type=relationship)


def uid_reference(
    name: Code, value: str, relationship: RelationshipTypeValues = OBS_CONTEXT
) -> UIDRefContentItem:
    """A UIDREF item."""
    return UIDRefContentItem(name=name, value=value, relationship_type=relationship)


def person(name: Code, value: str, relationship: RelationshipTypeValues = OBS_CONTEXT) -> PnameContentItem:
    """A PNAME item."""
    return PnameContentItem(name=name, value=value, relationship_type=relationship)


def image(
    name: Code, sop_class_uid: str, sop_instance_uid: str, relationship: RelationshipTypeValues = CONTAINS
) -> ImageContentItem:
    """An IMAGE item."""
    return ImageContentItem(
        name=name,
        referenced_sop_class_uid=sop_class_uid,
        referenced_sop_instance_uid=sop_instance_uid,
        relationship_type=relationship,
    )


def container(
    name: Code,
    children: Iterable[ContentItem],
    *,
    template: str | None = None,
    is_root: bool = False,
) -> ContainerContentItem:
    """A CONTAINER with its children; the root has no relationship."""
    item = ContainerContentItem(
        name=name,
        is_content_continuous=False,
        template_id=template,
        relationship_type=None if is_root else CONTAINS,
    )
    item.ContentSequence = ContentSequence(list(children))
    return item


def language(locale: str) -> CodeContentItem:
    """TID 1204 for a language tag such as `en` or `en-US`."""
    primary, _, region = locale.partition("-")
    name = _LANGUAGE_NAMES.get(primary.lower(), primary)
    item = code(codes.LANGUAGE, Code(primary.lower(), "RFC5646", name), CONCEPT_MOD)
    if region:
        country = code(codes.COUNTRY, Code(region.upper(), "ISO3166_1", region.upper()), CONCEPT_MOD)
        item.ContentSequence = ContentSequence([country])
    return item

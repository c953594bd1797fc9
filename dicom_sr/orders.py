"""The imaging orders that a study's images name, each from a single source.

An order's values have one source: one item of Request Attributes Sequence, or the image's own
attributes. They are joined only if one image shows, by an identifier that both state or by having a single
request, that both describe the same order. Nothing is filled in from another image or another
request, because a report that carries the identifiers of two orders may be filed under the wrong one.

Source: PS3.3 10.6 (Request Attributes Macro), C.7.2.1, C.17.2 (Referenced Request Sequence); IHE RAD TF-2
appendix A (identifiers of ordinary, grouped and unscheduled cases).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr.authority import Authority, authority
from dicom_sr.charset import clean
from dicom_sr.elements import code, identifier_as_stated, items, short, text, uid_or_nothing, whole

LONGEST_QUESTION = 1024
# Reasons for the study, the most specific first; the second half are attributes of the image only.
_QUESTION = ("ReasonForTheRequestedProcedure", "ReasonForStudy")
# Column, keyword and longest value (characters) of an order's identifiers.
_ATTRIBUTES = (
    ("accession_number", "AccessionNumber", 16),
    ("placer_order_number", "PlacerOrderNumberImagingServiceRequest", 64),
    ("filler_order_number", "FillerOrderNumberImagingServiceRequest", 64),
    ("requested_procedure_id", "RequestedProcedureID", 16),
)
_IDENTIFIERS = tuple(column for column, _, _ in _ATTRIBUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One imaging order, as one source states it; empty text (or None) for what is not stated.

    accession_number, requested_procedure_id: at most 16 characters; placer_order_number,
    filler_order_number: at most 64; each with its issuer. study_instance_uid: the study requested by the
    order. clinical_question: the reason for the procedure in words, on one line.
    """

    accession_number: str = ""
    accession_issuer: Authority | None = None
    placer_order_number: str = ""
    placer_issuer: Authority | None = None
    filler_order_number: str = ""
    filler_issuer: Authority | None = None
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    requested_procedure_code: Code | None = None
    study_instance_uid: str = ""
    clinical_question: str = ""

    @property
    def identified(self) -> bool:
        """Whether it has an identifier of its own."""
        return any(getattr(self, name) for name in _IDENTIFIERS)

    @property
    def empty(self) -> bool:
        """Whether it states nothing but the study."""
        return replace(self, study_instance_uid="") == Order()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders of a study's images.

    orders: each once; the one that the images belong to comes first. certain: whether that one is known for
    certain; true without any order. accession_number: the study's, with its issuer; empty if the images
    contradict each other. notes: values that do not fit their own attribute, in words.
    """

    orders: tuple[Order, ...]
    certain: bool
    accession_number: str = ""
    accession_issuer: Authority | None = None
    notes: tuple[str, ...] = ()

    @property
    def leading(self) -> Order | None:
        """The order that the images belong to; None if there is none, or if it is not certain."""
        return self.orders[0] if self.orders and self.certain else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """The statements of one image: its orders, which of them it belongs to, and whether that is
    unambiguous."""

    orders: tuple[Order, ...]
    own: Order | None
    certain: bool


def orders_of(images: Sequence[Dataset]) -> Orders:
    """Read the orders of one study's images; never raises.

    They are distinguished by their identifiers as received, including those that are too long to be written.
    """
    notes: list[str] = []
    stated = [one for one in (_stated(image) for image in images) if one.orders]
    if any(order.identified for one in stated for order in one.orders):
        # An image that states a procedure without any number names no order of its own.
        stated = [one for one in stated if one.own is None or one.own.identified]
    distinct = _distinct([order for one in stated for order in one.orders])
    own = {_same_in(distinct, one.own) for one in stated if one.own is not None}
    certain = all(one.certain for one in stated) and len(own) <= 1
    # If it is uncertain, the order under which all images would be filed still comes first.
    first = next(iter(own)) if len(own) == 1 else None
    ordered = tuple(sorted(distinct, key=lambda order: order != first))
    accession, issuer = _accession(ordered, first)
    if not certain:
        notes.append(_uncertain(ordered))
    written = _written(ordered, notes)
    accession = whole(accession, "AccessionNumber", 16, notes)
    return Orders(
        orders=written,
        certain=certain,
        accession_number=accession,
        accession_issuer=issuer if accession else None,
        notes=tuple(notes),
    )


def _written(orders: Sequence[Order], notes: list[str]) -> tuple[Order, ...]:
    """The orders in a form that can be written. The first one stays, without a number if necessary:
    another one must not take its place.
    """
    kept = [_writable(order, notes) for order in orders]
    if all(order.empty for order in kept):
        return ()
    return (*kept[:1], *(order for order in kept[1:] if not order.empty))


def _writable(order: Order, notes: list[str]) -> Order:
    """An order with the identifiers that fit their attributes; the others become notes."""
    fitting: dict[str, Any] = {
        column: whole(getattr(order, column), keyword, longest, notes)
        for column, keyword, longest in _ATTRIBUTES
    }
    return replace(order, **fitting)


def _stated(image: Dataset) -> _Stated:
    study = uid_or_nothing(image, "StudyInstanceUID")
    top = _order(image, study)
    requests = [_order(item, "") for item in items(image, "RequestAttributesSequence")]
    requests = list(_distinct([one for one in requests if not one.empty]))
    # A request that names another study was fulfilled by other images too: this image is not its own.
    ours = [one for one in requests if one.study_instance_uid in ("", study)]
    matching = [one for one in ours if _one_order(top, one)]
    if len(ours) == 1 and not _contradict(top, ours[0]):
        matching = ours
    if len(matching) == 1:
        own = _joined(matching[0], top)
        return _Stated(
            orders=tuple(own if one is matching[0] else one for one in requests), own=own, certain=True
        )
    if top.identified:
        # Several requests under the image's own accession number leave open which of them it is.
        clear = not requests
        return _Stated(orders=(top, *requests), own=top, certain=clear)
    if not requests:
        return _Stated(orders=() if top.empty else (top,), own=None if top.empty else top, certain=True)
    explicit = [one for one in ours if one.study_instance_uid]
    if len(explicit) == 1:
        return _Stated(orders=tuple(requests), own=explicit[0], certain=True)
    return _Stated(orders=tuple(requests), own=None, certain=False)


def _order(place: Dataset, study_instance_uid: str) -> Order:
    """The order that one request, or an image's own attributes, describe."""
    return Order(
        accession_number=identifier_as_stated(place, "AccessionNumber"),
        accession_issuer=authority(place, "IssuerOfAccessionNumberSequence"),
        placer_order_number=identifier_as_stated(place, "PlacerOrderNumberImagingServiceRequest"),
        placer_issuer=authority(place, "OrderPlacerIdentifierSequence"),
        filler_order_number=identifier_as_stated(place, "FillerOrderNumberImagingServiceRequest"),
        filler_issuer=authority(place, "OrderFillerIdentifierSequence"),
        requested_procedure_id=identifier_as_stated(place, "RequestedProcedureID"),
        requested_procedure_description=short(place, "RequestedProcedureDescription", 64),
        requested_procedure_code=code(place, "RequestedProcedureCodeSequence"),
        study_instance_uid=study_instance_uid or uid_or_nothing(place, "StudyInstanceUID"),
        clinical_question=_question(place),
    )


def _question(place: Dataset) -> str:
    words = next((found for keyword in _QUESTION if (found := text(place, keyword))), "")
    coded = code(place, "ReasonForRequestedProcedureCodeSequence")
    return (words or ("" if coded is None else coded.meaning))[:LONGEST_QUESTION]


def _one_order(top: Order, request: Order) -> bool:
    """Whether an image's own attributes name this request: by an identifier, else by the procedure."""
    if _contradict(top, request):
        return False
    if top.identified:
        return any(getattr(top, name) and getattr(request, name) for name in _IDENTIFIERS)
    if top.requested_procedure_code is not None and request.requested_procedure_code is not None:
        return _code_key(top) == _code_key(request)
    described = top.requested_procedure_description.casefold()
    return bool(described) and described == request.requested_procedure_description.casefold()


def _contradict(one: Order, other: Order) -> bool:
    """Whether two statements cannot be about one order: both state an identifier, and it differs."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in (*_IDENTIFIERS, "study_instance_uid")]
    return any(first != second for first, second in pairs if first and second) or any(
        first is not None and second is not None and first.differs_from(second)
        for first, second in (
            (one.accession_issuer, other.accession_issuer),
            (one.placer_issuer, other.placer_issuer),
            (one.filler_issuer, other.filler_issuer),
        )
    )


def _joined(request: Order, top: Order) -> Order:
    """A request, completed with the image's own attributes of the same order.

    A number and its issuer, and the procedure's code and description, are taken together.
    """
    groups = (
        ("accession_number", "accession_issuer"),
        ("placer_order_number", "placer_issuer"),
        ("filler_order_number", "filler_issuer"),
        ("requested_procedure_id",),
        ("requested_procedure_description", "requested_procedure_code"),
        ("study_instance_uid",),
        ("clinical_question",),
    )
    taken = {
        name: getattr(top, name)
        for group in groups
        if not any(getattr(request, name) for name in group)
        for name in group
    }
    if request.accession_number == top.accession_number and request.accession_issuer is None:
        taken["accession_issuer"] = top.accession_issuer
    return replace(request, **taken)


def _distinct(orders: Sequence[Order]) -> tuple[Order, ...]:
    """Each order once: a statement that adds nothing to another one is merged into it."""
    kept: list[Order] = []
    for order in orders:
        if any(_within(order, one) for one in kept):
            continue
        kept = [one for one in kept if not _within(one, order)]
        kept.append(order)
    return tuple(kept)


def _within(part: Order, whole: Order) -> bool:
    """Whether `whole` contains everything that `part` states."""
    return part.identified == whole.identified and all(
        not getattr(part, field.name) or getattr(part, field.name) == getattr(whole, field.name)
        for field in fields(Order)
    )


def _same_in(orders: Sequence[Order], one: Order) -> Order:
    return next((whole for whole in orders if _within(one, whole)), one)


def _accession(orders: Sequence[Order], first: Order | None) -> tuple[str, Authority | None]:
    """The study's accession number: the leading order's, or the one that all orders share."""
    if first is not None:
        return first.accession_number, first.accession_issuer
    stated = {order.accession_number for order in orders}
    if len(stated) != 1:
        return "", None
    return orders[0].accession_number, orders[0].accession_issuer


def _uncertain(orders: Sequence[Order]) -> str:
    names = [_named(order) for order in orders]
    return (
        "The images name more than one order, and it is not certain to which one this report belongs: "
        f"{'; '.join(names)}."
    )


def _named(order: Order) -> str:
    """Describes an order so that a reader can find it."""
    labelled = (
        ("accession number", order.accession_number),
        ("placer order", order.placer_order_number),
        ("filler order", order.filler_order_number),
        ("procedure", order.requested_procedure_id),
    )
    identifiers = [f"{label} {clean(value)}" for label, value in labelled if value]
    words = order.requested_procedure_description
    if not words and order.requested_procedure_code is not None:
        words = order.requested_procedure_code.meaning
    described = f" ({words})" if words else ""
    return f"{', '.join(identifiers) or 'an order without a number'}{described}"


def _code_key(order: Order) -> tuple[str, str]:
    one = order.requested_procedure_code
    return ("", "") if one is None else (one.scheme_designator, one.value)

"""Orders are taken over whole, and the one to which the images belong comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom import DataElement
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_sr.authority import Authority
from dicom_sr.document import DocumentPair
from dicom_sr.orders import Order, orders_of
from dicom_sr.tree import descendants
from dicom_sr.values import SourceStudy

MakeImage = Callable[..., Dataset]
STUDY = "1.2.826.1"


def request(**values: Any) -> Dataset:
    """An item of Request Attributes Sequence."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


CHEST = {
    "AccessionNumber": "CHEST-1",
    "RequestedProcedureID": "RP-CHEST",
    "RequestedProcedureDescription": "XR chest",
    "PlacerOrderNumberImagingServiceRequest": "P-CHEST",
}
ABDOMEN = {
    "AccessionNumber": "ABD-2",
    "RequestedProcedureID": "RP-ABD",
    "RequestedProcedureDescription": "XR abdomen",
    "FillerOrderNumberImagingServiceRequest": "F-ABD",
}


def short(order: Order) -> tuple[str, str, str, str]:
    """The identifiers that must come from one order."""
    return (
        order.accession_number,
        order.requested_procedure_id,
        order.placer_order_number,
        order.filler_order_number,
    )


CHEST_ORDER = ("CHEST-1", "RP-CHEST", "P-CHEST", "")
ABDOMEN_ORDER = ("ABD-2", "RP-ABD", "", "F-ABD")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "named", ["AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"]
)
def test_orders_of_a_grouped_study_lead_with_the_one_that_the_image_names(
    make_image: MakeImage, named: str, *, turned: bool
) -> None:
    """In any order of the requests, the image's own number or procedure identifies its order."""
    items = [request(**ABDOMEN), request(**CHEST)]
    own = {"AccessionNumber": None, named: CHEST[named]}
    image = make_image(RequestAttributesSequence=Sequence(items[::-1] if turned else items), **own)
    orders = orders_of([image])
    assert orders.certain
    assert [short(order) for order in orders.orders] == [CHEST_ORDER, ABDOMEN_ORDER]
    assert (orders.accession_number, orders.notes) == ("CHEST-1", ())


def test_orders_that_an_image_does_not_tell_apart_are_not_certain(make_image: MakeImage) -> None:
    """No accession number is used, both orders are listed in full, and a note for the Summary says so."""
    image = make_image(
        AccessionNumber=None, RequestAttributesSequence=Sequence([request(**ABDOMEN), request(**CHEST)])
    )
    orders = orders_of([image])
    assert (orders.leading, orders.certain, orders.accession_number) == (None, False, "")
    assert {CHEST_ORDER, ABDOMEN_ORDER} == {short(order) for order in orders.orders}
    assert len(orders.notes) == 1
    assert all(number in orders.notes[0] for number in ("CHEST-1", "ABD-2", "XR abdomen"))


def test_orders_of_two_images_are_not_stitched_together(make_image: MakeImage) -> None:
    """Two images with one order each give two orders, and neither completes the other."""
    images = [
        make_image(1, AccessionNumber=None, RequestAttributesSequence=Sequence([request(**CHEST)])),
        make_image(2, AccessionNumber=None, RequestAttributesSequence=Sequence([request(**ABDOMEN)])),
    ]
    orders = orders_of(images)
    assert not orders.certain
    assert orders.accession_number == ""
    assert [short(order) for order in orders.orders] == [CHEST_ORDER, ABDOMEN_ORDER]


def test_order_of_a_single_request_is_completed_from_its_own_image(make_image: MakeImage) -> None:
    """The usual case: the accession number in the image, the procedure in its only request."""
    item = request(RequestedProcedureID="RP-7", RequestedProcedureDescription="Chest")
    orders = orders_of([make_image(RequestAttributesSequence=Sequence([item])), make_image(2)])
    assert orders.certain
    assert [short(order) for order in orders.orders] == [("ACC-1", "RP-7", "", "")]


def test_order_of_a_request_that_contradicts_its_image_is_a_second_one(make_image: MakeImage) -> None:
    """The image's own number comes first; the other order is listed and marked as uncertain."""
    orders = orders_of([make_image(RequestAttributesSequence=Sequence([request(**ABDOMEN)]))])
    assert [short(order) for order in orders.orders] == [("ACC-1", "", "", ""), ABDOMEN_ORDER]
    assert (orders.accession_number, orders.certain) == ("ACC-1", False)


def test_order_with_a_study_of_its_own_is_not_this_studys(make_image: MakeImage) -> None:
    """A request for another study was fulfilled elsewhere; the one that names this study comes first."""
    items = [
        request(**ABDOMEN, StudyInstanceUID="1.2.9"),
        request(**CHEST, StudyInstanceUID=STUDY),
    ]
    orders = orders_of([make_image(AccessionNumber=None, RequestAttributesSequence=Sequence(items))])
    assert orders.certain
    assert [(order.accession_number, order.study_instance_uid) for order in orders.orders] == [
        ("CHEST-1", STUDY),
        ("ABD-2", "1.2.9"),
    ]


def test_orders_under_one_accession_number_share_it(make_image: MakeImage) -> None:
    """Two procedures of one order: the number is certain, the procedure is not."""
    items = [request(**CHEST | {"AccessionNumber": "A-1"}), request(**ABDOMEN | {"AccessionNumber": "A-1"})]
    orders = orders_of([make_image(AccessionNumber=None, RequestAttributesSequence=Sequence(items))])
    assert (orders.accession_number, orders.certain) == ("A-1", False)


def test_order_stated_by_every_image_is_one_order(make_image: MakeImage) -> None:
    """The frontal and the lateral film repeat their request; one of them with fewer attributes."""
    whole = request(**CHEST)
    less = request(AccessionNumber="CHEST-1")
    images = [
        make_image(1, AccessionNumber=None, RequestAttributesSequence=Sequence([less])),
        make_image(2, AccessionNumber=None, RequestAttributesSequence=Sequence([whole])),
    ]
    orders = orders_of(images)
    assert (orders.certain, [CHEST_ORDER]) == (True, [short(order) for order in orders.orders])


def test_order_issuers_tell_equal_numbers_apart(make_image: MakeImage) -> None:
    """The same number from two authorities means two orders; the issuer is kept."""
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "RIS-A"
    other = Dataset()
    other.LocalNamespaceEntityID = "RIS-B"
    item = request(AccessionNumber="ACC-1", IssuerOfAccessionNumberSequence=Sequence([other]))
    image = make_image(
        IssuerOfAccessionNumberSequence=Sequence([issuer]), RequestAttributesSequence=Sequence([item])
    )
    orders = orders_of([image])
    assert [Authority(local="RIS-A"), Authority(local="RIS-B")] == [
        order.accession_issuer for order in orders.orders
    ]
    assert (orders.accession_issuer, orders.certain) == (Authority(local="RIS-A"), False)


def test_documents_list_every_order_and_say_where_it_is_not_certain(
    make_image: MakeImage, make_draft: Callable[..., DocumentPair]
) -> None:
    """Both documents list the same requests and state that the order is uncertain."""
    image = make_image(
        AccessionNumber=None, RequestAttributesSequence=Sequence([request(**ABDOMEN), request(**CHEST)])
    )
    pair = make_draft(study=SourceStudy(images=(image,)))
    for document in (pair.findings, pair.report):
        listed = [item.RequestedProcedureID for item in document.ReferencedRequestSequence]
        assert listed == ["RP-ABD", "RP-CHEST"]
        assert document.AccessionNumber == ""
        said = [str(item.TextValue) for item in descendants(document) if "TextValue" in item]
        assert any("it is not certain to which one this report belongs" in words for words in said)


LONG = "ACC-2026-00000000-1"


def numbered(dataset: Dataset, number: str) -> Dataset:
    """Give an image or a request an accession number that its sender should not have written."""
    dataset["AccessionNumber"] = DataElement("AccessionNumber", "SH", number, validation_mode=IGNORE)
    return dataset


def test_orders_are_told_apart_by_numbers_that_cannot_be_written(make_image: MakeImage) -> None:
    """A number of 17 or more characters is left out of its attribute, but still tells orders apart."""
    image = numbered(make_image(RequestAttributesSequence=Sequence([request(**CHEST)])), LONG)
    found = orders_of([image])
    assert (found.certain, found.leading, found.accession_number) == (False, None, "")
    assert LONG in found.notes[0]
    assert "CHEST-1" in found.notes[0]
    two = orders_of([numbered(make_image(), LONG), numbered(make_image(2), f"{LONG[:-1]}2")])
    assert (two.certain, two.orders, len(two.notes)) == (False, (), 3)


def test_order_without_a_writable_number_is_not_replaced_by_another(make_image: MakeImage) -> None:
    """The image's own order comes first, without a number, instead of the order of another body part."""
    requests = [numbered(Dataset(), LONG), request(**ABDOMEN)]
    found = orders_of([numbered(make_image(RequestAttributesSequence=Sequence(requests)), LONG)])
    assert (found.certain, found.accession_number) == (True, "")
    assert [short(one) for one in found.orders] == [("", "", "", ""), ABDOMEN_ORDER]


@pytest.mark.parametrize(
    ("stated", "written"),
    [
        ("A-16-CHARACTERS-", "A-16-CHARACTERS-"),
        ("ИССЛЕДОВАНИЕ-016", "ИССЛЕДОВАНИЕ-016"),
        ("ИССЛЕДОВАНИЕ-0017", ""),
        ("C1\x1b[31m", ""),
        ("C\x011", ""),
        ("C1\0\n", "C1"),
    ],
)
def test_order_number_is_whole_or_left_out_with_a_note(
    make_image: MakeImage, stated: str, written: str
) -> None:
    """Characters are counted, not bytes; a number without its control characters would be another number."""
    found = orders_of([numbered(make_image(SpecificCharacterSet="ISO_IR 192"), stated)])
    assert (found.accession_number, len(found.notes)) == (written, 0 if written else 1)

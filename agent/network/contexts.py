"""The SOP classes and transfer syntaxes that the listener offers, listed one by one.

The unrestricted storage service of pynetdicom stays off. No Structured Report class is offered, so our own
drafts, sent back by an archive's auto-routing, find no context (loop guard). The AE title for earlier studies
offers them, because the report of an earlier study is needed.
"""

from __future__ import annotations

from pydicom import uid
from pynetdicom.presentation import PresentationContext, build_context

VERIFICATION = "1.2.840.10008.1.1"
CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_IMAGE_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Accepted for rejection notes (IHE IOCM); any other Key Object Selection is dropped.
KEY_OBJECT_SELECTION: str = uid.KeyObjectSelectionDocumentStorage
IMAGE_CLASSES = (CR_IMAGE, DX_IMAGE_FOR_PRESENTATION)
REPORT_CLASSES: tuple[str, ...] = (
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.Comprehensive3DSRStorage,
)

# If a peer offers several in one context, the first of these that it offers is accepted.
TRANSFER_SYNTAXES: tuple[str, ...] = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
)


def image_classes(accept_secondary_capture: bool) -> tuple[str, ...]:
    """Return the accepted SOP classes of images."""
    return (*IMAGE_CLASSES, SECONDARY_CAPTURE) if accept_secondary_capture else IMAGE_CLASSES


def supported_contexts(accept_secondary_capture: bool) -> list[PresentationContext]:
    """Return the presentation contexts of the Verification and Storage SCP."""
    return [
        build_context(VERIFICATION),
        *(
            build_context(sop_class, list(TRANSFER_SYNTAXES))
            for sop_class in image_classes(accept_secondary_capture)
        ),
        build_context(KEY_OBJECT_SELECTION, list(TRANSFER_SYNTAXES[:4])),
    ]


def report_contexts() -> list[PresentationContext]:
    """Return the presentation contexts that the AE title for earlier studies also offers."""
    return [build_context(sop_class, list(TRANSFER_SYNTAXES[:4])) for sop_class in REPORT_CLASSES]

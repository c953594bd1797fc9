"""Rules for the presentation contexts that the listener offers."""

from __future__ import annotations

from pynetdicom import _config

from agent.network.contexts import SECONDARY_CAPTURE, TRANSFER_SYNTAXES, supported_contexts


def test_contexts_are_verification_projection_images_and_key_objects_only() -> None:
    """Verification, CR, DX for presentation, Secondary Capture and key objects are offered; no other is."""
    classes = [str(context.abstract_syntax) for context in supported_contexts(True)]
    assert classes == [
        "1.2.840.10008.1.1",
        "1.2.840.10008.5.1.4.1.1.1",
        "1.2.840.10008.5.1.4.1.1.1.1",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.88.59",
    ]


def test_secondary_capture_is_a_choice() -> None:
    """Without the setting Secondary Capture is not offered."""
    assert SECONDARY_CAPTURE not in [str(context.abstract_syntax) for context in supported_contexts(False)]


def test_every_listed_transfer_syntax_is_offered_with_every_image_class() -> None:
    """JPEG, JPEG-LS, JPEG 2000, RLE, deflated, big endian, implicit and explicit are offered."""
    assert len(set(TRANSFER_SYNTAXES)) == 13
    for context in supported_contexts(True)[1:-1]:
        assert [str(syntax) for syntax in context.transfer_syntax] == [str(one) for one in TRANSFER_SYNTAXES]


def test_unrestricted_storage_stays_off() -> None:
    """pynetdicom's switch that accepts every class is not used."""
    assert _config.UNRESTRICTED_STORAGE_SERVICE is False

"""A few numbers and words about the images of a draft, which show drift of the input. Pure.

Kept with every draft. They include no patient attribute and no free text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.objects.pixels import StudyImage
from dicom_sr.attributes import number, text

# Attributes whose first value is kept as a number, by our name for it.
_NUMBERS = {
    "kvp": "KVP",
    "exposure": "ExposureInuAs",
    "exposure_index": "ExposureIndex",
    "deviation_index": "DeviationIndex",
    "rows": "Rows",
    "columns": "Columns",
    "bits_stored": "BitsStored",
}
_WORDS = {
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "software_versions": "SoftwareVersions",
    "photometric_interpretation": "PhotometricInterpretation",
    "view_position": "ViewPosition",
}
_LONGEST_WORD = 64


def input_statistics(images: Sequence[StudyImage]) -> dict[str, Any]:
    """Return `device`, `numbers` and `words` of a draft's first image; empty without an image.

    exposure is in microampere seconds; brightness is the mean of the displayed pixels (0 to 255).
    """
    if not images:
        return {"device": "", "numbers": {}, "words": {}}
    header = images[0].header
    numbers = {name: value for name, key in _NUMBERS.items() if (value := number(header, key)) is not None}
    mas = number(header, "Exposure")
    if "exposure" not in numbers and mas is not None:
        numbers["exposure"] = 1000 * mas
    numbers["brightness"] = round(float(images[0].pixels.mean()), 2)
    words = {name: word for name, key in _WORDS.items() if (word := text(header, key)[:_LONGEST_WORD])}
    named = (
        text(header, key)[:_LONGEST_WORD] for key in ("Manufacturer", "ManufacturerModelName", "StationName")
    )
    return {"device": " / ".join(part for part in named if part), "numbers": numbers, "words": words}

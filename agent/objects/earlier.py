"""Whether one study was made before another. Pure."""

from __future__ import annotations


def is_earlier(study_date: str, study_time: str, *, than_date: str, than_time: str) -> bool:
    """Whether a study (DA and TM values) was made before another one.

    A study without a full date is never earlier. On the same day the times are compared to their common
    precision, because seconds and fractions may be left out (PS3.5 6.2, VR TM); equal times are not earlier.
    """
    if len(study_date) != 8 or study_date > than_date:
        return False
    digits = min(len(study_time), len(than_time))
    return study_date < than_date or study_time[:digits] < than_time[:digits]

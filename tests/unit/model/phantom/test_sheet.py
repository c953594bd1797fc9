"""The contact sheet shows every given study."""

from __future__ import annotations

import numpy as np

from model.phantom import draw_spec
from model.phantom.sheet import contact_sheet


def test_contact_sheet_has_a_place_for_every_study() -> None:
    """Three studies in two columns make two rows; the fourth place stays blank."""
    sheet = np.asarray(contact_sheet([draw_spec(seed) for seed in range(3)], columns=2, size=64))
    place = (sheet.shape[0] - 6) // 2
    assert sheet.shape == (2 * place + 6, 2 * (2 * 64 + 6) + 6)
    assert bool((sheet[6 + place :, 6 + 2 * 64 + 6 :] == 255).all())
    assert float(sheet[6 : 6 + 64, 6 : 6 + 64].mean()) < 200

"""Contact sheets of phantom studies, for viewing them at a glance."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.findings.wording import normalised_report
from model.phantom.film import render
from model.phantom.spec import PhantomSpec

_CAPTION = 46  # px below each study
_GAP = 6
_LINE = 13


def contact_sheet(specs: Sequence[PhantomSpec], *, columns: int = 4, size: int = 240) -> Image.Image:
    """Frontal and lateral films of studies side by side, each with the impression of its report.

    Args:
        specs: at least one study; one without a lateral film leaves that place empty.
        columns: studies in a row.
        size: side of each film in pixels.
    """
    rows = -(-len(specs) // columns)
    width, height = 2 * size + _GAP, size + _CAPTION
    sheet = Image.new("L", (columns * width + _GAP, rows * height + _GAP), 255)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for index, spec in enumerate(specs):
        left, top = _GAP + index % columns * width, _GAP + index // columns * height
        for number, view in enumerate(spec.views):
            film = (render(spec, view, size) >> 4).astype(np.uint8)
            sheet.paste(Image.fromarray(film), (left + number * size, top))
        caption = " ".join(normalised_report(spec.truth).impression)
        for row, line in enumerate(textwrap.wrap(caption, 2 * size // 6)[:3]):
            draw.text((left, top + size + 2 + row * _LINE), line, fill=0, font=font)
    return sheet


if __name__ == "__main__":  # python -m model.phantom.sheet docs/phantoms.png
    import sys

    from model.phantom.draw import draw_spec

    sheet = contact_sheet([draw_spec(seed) for seed in range(12)], columns=3, size=200)
    sheet.quantize(48).save(sys.argv[1], optimize=True)

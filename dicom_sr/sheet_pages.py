"""Renders a sheet: a PDF of A4 pages, and the same as one picture.

ReportLab lays out the pages, PDFium renders the picture. The same sheet gives the same bytes. A line with
characters that the font does not have is replaced by one that says so, because a report with gaps could be
misread.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import pypdfium2
import reportlab
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table

from dicom_sr.errors import ContentError
from dicom_sr.sheet import Sheet

NOT_SHOWN = "[This line has characters that the font of this page does not have: read the Structured Report.]"
_MARGIN = 16 * mm
_BANNER_LINE = 7 * mm
_SHIPPED = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
# Pixels per point of the picture: A4 is 1,190 pixels wide.
_SCALE = 2.0
_TALLEST_PICTURE = 14_000  # points; PDF allows no taller page


class _Font(NamedTuple):
    name: str
    glyphs: frozenset[int]


@lru_cache(maxsize=8)
def _font(path: Path) -> _Font:
    name = f"sheet-{abs(hash(path)):x}"
    try:
        font = TTFont(name, str(path))
    except (TTFError, OSError) as error:
        raise ContentError(f"the font {path.name} cannot be read: give a TrueType font (.ttf)") from error
    pdfmetrics.registerFont(font)
    return _Font(name=name, glyphs=frozenset(font.face.charToGlyph))


def pdf_of(sheet: Sheet, font: Path | None = None) -> bytes:
    """Return the sheet as a PDF of A4 pages; `font` is a TrueType file, None for the shipped one (Latin-1).

    Raises:
        ContentError: the font cannot be read.
    """
    return _written(sheet, _font(font or _SHIPPED), A4)


def picture_of(sheet: Sheet, font: Path | None = None) -> npt.NDArray[np.uint8]:
    """Return the sheet as one grey picture `[H, W]`, 1,190 pixels wide and as tall as the text needs.

    Raises:
        ContentError: the font cannot be read, or the text is too long for a picture.
    """
    chosen = _font(font or _SHIPPED)
    width = A4[0]
    story = _story(sheet, chosen, width - 2 * _MARGIN)
    tall = sum(
        one.wrap(width - 2 * _MARGIN, _TALLEST_PICTURE)[1] + one.getSpaceBefore() + one.getSpaceAfter()
        for one in story
    )
    height = tall + 2 * _banner_height(sheet) + 2 * _MARGIN + 12 * mm
    if height > _TALLEST_PICTURE:
        raise ContentError("the text is too long for a picture: send this destination the PDF instead")
    document = pypdfium2.PdfDocument(_written(sheet, chosen, (width, max(height, A4[1] / 2))))
    try:
        if len(document) != 1:
            raise ContentError("the text does not fit one picture: send this destination the PDF instead")
        painted = document[0].render(scale=_SCALE, grayscale=True).to_numpy()
    finally:
        document.close()
    return np.ascontiguousarray(painted.reshape(painted.shape[:2]), dtype=np.uint8)


def _written(sheet: Sheet, font: _Font, size: tuple[float, float]) -> bytes:
    target = io.BytesIO()
    document = BaseDocTemplate(
        target,
        pagesize=size,
        title=sheet.title,
        author="",
        creator="ECHO Agent",
        invariant=1,
        allowSplitting=1,
    )
    band = _banner_height(sheet)
    frame = Frame(
        _MARGIN, _MARGIN + band, size[0] - 2 * _MARGIN, size[1] - 2 * _MARGIN - 2 * band, 0, 0, 0, 0
    )
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_painter(sheet, font, size)))
    document.build(_story(sheet, font, size[0] - 2 * _MARGIN))
    return target.getvalue()


def _banner_height(sheet: Sheet) -> float:
    return float(len(sheet.banner) * _BANNER_LINE + 4 * mm)


def _painter(sheet: Sheet, font: _Font, size: tuple[float, float]) -> Callable[[Any, Any], None]:
    """Paint the banner above and below the text: white on black, framed if the report is verified."""

    def paint(canvas: Any, document: Any) -> None:
        height = len(sheet.banner) * _BANNER_LINE
        for bottom in (size[1] - _MARGIN - height, _MARGIN):
            canvas.setFillGray(1 if sheet.verified else 0)
            canvas.rect(_MARGIN, bottom, size[0] - 2 * _MARGIN, height, fill=1, stroke=1)
            canvas.setFillGray(0 if sheet.verified else 1)
            canvas.setFont(font.name, 13)
            for number, line in enumerate(sheet.banner, start=1):
                canvas.drawCentredString(size[0] / 2, bottom + height - number * _BANNER_LINE + 5.5, line)
        canvas.setFillGray(0)
        canvas.setFont(font.name, 7)
        canvas.drawRightString(size[0] - _MARGIN, _MARGIN - 9, f"page {document.page}")

    return paint


def _story(sheet: Sheet, font: _Font, width: float) -> Sequence[Flowable]:
    body = ParagraphStyle("body", fontName=font.name, fontSize=10.5, leading=14.5, spaceAfter=3)
    small = ParagraphStyle("small", parent=body, fontSize=9, leading=12, spaceAfter=0)
    heading = ParagraphStyle("heading", parent=body, fontSize=12, leading=16, spaceBefore=8, spaceAfter=3)

    def paragraph(words: str, style: ParagraphStyle) -> Paragraph:
        return Paragraph(escape(_shown(words, font)), style)

    rows = [[paragraph(label, small), paragraph(value, small)] for label, value in sheet.facts]
    story: list[Flowable] = []
    if rows:
        story = [Table(rows, colWidths=[34 * mm, width - 34 * mm], style=_FACTS), Spacer(1, 4 * mm)]
    for section in sheet.sections:
        story.append(paragraph(section.heading, heading))
        story.extend(paragraph(line, body) for line in section.lines)
    return story


_FACTS = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ("LINEBELOW", (0, -1), (-1, -1), 0.5, "#000000"),
]


def _shown(words: str, font: _Font) -> str:
    return words if all(ord(one) in font.glyphs or one.isspace() for one in words) else NOT_SHOWN

"""The monthly report as PDF, A4."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import singledispatch
from html import escape
from pathlib import Path
from typing import Any

import reportlab
from reportlab.graphics.shapes import Circle, Drawing, String
from reportlab.graphics.shapes import Line as DrawnLine
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Spacer,
)
from reportlab.platypus import Paragraph as Text
from reportlab.platypus import Table as Grid

from agent.shadow.plots import Plot, PlotDot, PlotLine
from agent.shadow.report_blocks import Block, Figure, Heading, Numbers, Paragraph, ReportTable, Title

_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_INK, _SOFT, _RULE, _BLUE, _PALE, _RED = map(
    HexColor, ("#1b232b", "#566370", "#d4dae0", "#0b5ea8", "#7fa8cc", "#b3261e")
)
_STRIPE = HexColor("#f6f8fa")
_COLOURS = {
    "axis": _SOFT,
    "grid": _RULE,
    "mark": _BLUE,
    "interval": _PALE,
    "second": _RED,
    "label": _INK,
    "soft": _SOFT,
    "alarm": _RED,
}
# Embedded, so that the file looks the same everywhere; they come with reportlab.
_FONTS = Path(reportlab.__file__).parent / "fonts"
_PLAIN, _BOLD = "report", "report-bold"


def pdf_of(blocks: Sequence[Block], title: str) -> bytes:
    """Return the report as a PDF; the same blocks give the same bytes."""
    for name, file in ((_PLAIN, "Vera.ttf"), (_BOLD, "VeraBd.ttf")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(_FONTS / file)))
    target = io.BytesIO()
    document = BaseDocTemplate(
        target, pagesize=A4, title=title, author="ECHO Agent", creator="ECHO Agent", invariant=1
    )
    frame = Frame(_MARGIN, _MARGIN + 6 * mm, _WIDTH, A4[1] - 2 * _MARGIN - 6 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_foot(title)))
    document.build([flowable for block in blocks for flowable in _flowables(block)])
    return target.getvalue()


def _foot(title: str) -> Any:
    def paint(canvas: Any, document: Any) -> None:
        canvas.setFont(_PLAIN, 7.5)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_MARGIN, _MARGIN - 2 * mm, title)
        canvas.drawRightString(A4[0] - _MARGIN, _MARGIN - 2 * mm, f"page {document.page}")

    return paint


def _style(size: float, *, bold: bool = False, soft: bool = False, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        name=f"{size}{bold}{soft}",
        fontName=_BOLD if bold else _PLAIN,
        fontSize=size,
        leading=size * 1.4,
        textColor=_SOFT if soft else _INK,
        **more,
    )


@singledispatch
def _flowables(block: object) -> list[Flowable]:
    raise TypeError(f"no PDF for {type(block).__name__}")


@_flowables.register
def _(block: Title) -> list[Flowable]:
    return [
        Text(escape(block.text), _style(18, bold=True, spaceAfter=4)),
        Text(escape(block.under), _style(9, soft=True, spaceAfter=12)),
    ]


@_flowables.register
def _(block: Heading) -> list[Flowable]:
    heading = Text(escape(block.text), _style(13, bold=True, spaceBefore=14, spaceAfter=6, keepWithNext=True))
    return [PageBreak() if block.new_page else CondPageBreak(45 * mm), heading]


@_flowables.register
def _(block: Paragraph) -> list[Flowable]:
    return [Text(escape(block.text), _style(9, soft=block.soft, spaceAfter=6))]


@_flowables.register
def _(block: Numbers) -> list[Flowable]:
    values = [Text(escape(value), _style(20)) for _name, value in block.pairs]
    names = [Text(escape(name), _style(8, soft=True)) for name, _value in block.pairs]
    width = _WIDTH / len(block.pairs)
    grid = Grid([values, names], [width] * len(block.pairs), [30, 16], hAlign="LEFT")
    grid.setStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")])
    return [grid, Spacer(1, 10)]


@_flowables.register
def _(block: ReportTable) -> list[Flowable]:
    head = [Text(escape(one), _style(7.5, bold=True, soft=True)) for one in block.head]
    rows = [[Text(escape(one), _style(7.5)) for one in row] for row in block.rows]
    whole = sum(block.widths)
    grid = Grid([head, *rows], [_WIDTH * one / whole for one in block.widths], repeatRows=1, hAlign="LEFT")
    grid.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 2),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [HexColor("#ffffff"), _STRIPE]),
        ]
    )
    return [grid, Spacer(1, 8)]


@_flowables.register
def _(block: Figure) -> list[Flowable]:
    return [_drawing(block.plot), Spacer(1, 8)]


def _drawing(plot: Plot) -> Flowable:
    """Draw the plot, at most as wide as the page; in PDF y grows upwards."""
    scale = min(1.0, _WIDTH / plot.width)
    drawing = Drawing(plot.width * scale, plot.height * scale)
    drawing.scale(scale, scale)
    for one in plot.shapes:
        colour = _COLOURS[one.role]
        if isinstance(one, PlotLine):
            dashes = [4, 3] if one.role == "axis" else None
            wide = {"interval": 2.0, "mark": 1.3}.get(one.role, 0.6)
            ends = (one.x1, plot.height - one.y1, one.x2, plot.height - one.y2)
            drawing.add(DrawnLine(*ends, strokeColor=colour, strokeWidth=wide, strokeDashArray=dashes))
        elif isinstance(one, PlotDot):
            drawing.add(Circle(one.x, plot.height - one.y, one.radius, fillColor=colour, strokeColor=colour))
        else:
            drawing.add(
                String(
                    one.x,
                    plot.height - one.y,
                    one.text,
                    textAnchor=one.anchor,
                    fontName=_PLAIN,
                    fontSize=9.5,
                    fillColor=colour,
                )
            )
    found: Flowable = drawing
    return found

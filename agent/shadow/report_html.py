"""The monthly report as one HTML file: no scripts, no external resources."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from html import escape

from agent.shadow.report_blocks import Block, Figure, Heading, Numbers, Paragraph, ReportTable, Title
from agent.shadow.svg import svg_of

_STYLE = """
body { font: 15px/1.5 "Segoe UI", "DejaVu Sans", sans-serif; color: #1b232b; max-width: 900px;
  margin: 32px auto; padding: 0 20px; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 19px; margin: 34px 0 8px; border-bottom: 1px solid #d4dae0; padding-bottom: 4px; }
.soft { color: #566370; }
dl { display: flex; flex-wrap: wrap; gap: 34px; margin: 22px 0; }
dl div { display: flex; flex-direction: column-reverse; }
dt { color: #566370; font-size: 13px; }
dd { margin: 0; font-size: 28px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin: 10px 0; }
th { text-align: left; color: #566370; font-weight: 600; }
th, td { padding: 4px 8px 4px 0; border-bottom: 1px solid #e3e7eb; vertical-align: top; }
tbody tr:nth-child(even) { background: #f6f8fa; }
svg { max-width: 100%; height: auto; }
svg text { fill: #1b232b; font-size: 12px; }
svg text.plot-soft { fill: #566370; font-size: 11px; }
svg text.plot-alarm { fill: #b3261e; font-size: 11px; font-weight: 600; }
svg line { stroke: #e3e7eb; }
svg line.plot-axis { stroke: #8d99a6; stroke-dasharray: 4 3; }
svg line.plot-interval { stroke: #7fa8cc; stroke-width: 2; }
svg line.plot-mark { stroke: #0b5ea8; stroke-width: 1.5; }
svg circle { fill: #0b5ea8; }
@media print { .new-page { break-before: page; } table, svg { break-inside: avoid; } }
"""


def html_of(blocks: Sequence[Block], title: str) -> str:
    """Return the report as an HTML document."""
    body = "\n".join(_html(one) for one in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )


@singledispatch
def _html(block: object) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_html.register
def _(block: Title) -> str:
    return f'<h1>{escape(block.text)}</h1>\n<p class="soft">{escape(block.under)}</p>'


@_html.register
def _(block: Heading) -> str:
    kind = ' class="new-page"' if block.new_page else ""
    return f"<h2{kind}>{escape(block.text)}</h2>"


@_html.register
def _(block: Paragraph) -> str:
    kind = ' class="soft"' if block.soft else ""
    return f"<p{kind}>{escape(block.text)}</p>"


@_html.register
def _(block: Numbers) -> str:
    pairs = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in block.pairs
    )
    return f"<dl>{pairs}</dl>"


@_html.register
def _(block: ReportTable) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in block.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>\n" for row in block.rows
    )
    # On a narrow screen the table is moved, and not the page; with the keyboard too.
    return (
        '<div class="wide" role="group" aria-label="Table" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>"
    )


@_html.register
def _(block: Figure) -> str:
    return f"<p>{svg_of(block.plot)}</p>"

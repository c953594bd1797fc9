"""A plot as inline SVG, without style attributes and scripts, so that the pages' policy admits it. Pure."""

from __future__ import annotations

from html import escape

from agent.shadow.plots import Plot, PlotDot, PlotLine, Shape


def svg_of(plot: Plot) -> str:
    """Return the plot as an `svg` element; the style sheet gives the roles (`plot-…`) their colours."""
    shapes = "".join(_shape(one) for one in plot.shapes)
    title, words = escape(plot.title), escape(plot.description)
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {plot.width:g} {plot.height:g}" '
        f'width="{plot.width:g}" height="{plot.height:g}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{title}</title><desc>{words}</desc>{shapes}</svg>"
    )


def _shape(one: Shape) -> str:
    if isinstance(one, PlotLine):
        return (
            f'<line class="plot-{one.role}" x1="{one.x1:.1f}" y1="{one.y1:.1f}" x2="{one.x2:.1f}" '
            f'y2="{one.y2:.1f}"/>'
        )
    if isinstance(one, PlotDot):
        return f'<circle class="plot-{one.role}" cx="{one.x:.1f}" cy="{one.y:.1f}" r="{one.radius:.1f}"/>'
    return (
        f'<text class="plot-{one.role}" x="{one.x:.1f}" y="{one.y:.1f}" text-anchor="{one.anchor}">'
        f"{escape(one.text)}</text>"
    )

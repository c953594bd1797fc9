"""The page of the demo's RIS: each order with the results received for it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from agent.commands.demo.ris import DemoOrder, ReceivedResult

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
section { border-top: 1px solid #999; padding: 0.5rem 0 1rem; }
dt { color: #555; float: left; clear: left; width: 10rem; } dd { margin: 0 0 0 10rem; }
article { border-left: 4px solid #b25b00; margin: 1rem 0; padding-left: 1rem; }
article.signed { border-color: #2b6e2f; }
"""
# Table 0123: what a reader at the RIS must know about each status.
STATUS = {
    "R": "R: stored, not verified",
    "F": "F: final",
    "C": "C: correction of a final result",
    "X": "X: withdrawn",
}


def write_page(path: Path, rows: Sequence[tuple[DemoOrder, Sequence[ReceivedResult]]]) -> Path:
    """Write the page; return its path."""
    sections = "\n".join(_section(order, results) for order, results in rows)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>RIS of the demo</title>'
        f"<style>{_STYLE}</style>\n<h1>RIS of the demo</h1>\n"
        "<p>Each order, and the HL7 messages that the agent sent about its "
        f"study.</p>\n{sections}\n</html>\n",
        encoding="utf-8",
    )
    return path


def _section(order: DemoOrder, results: Sequence[ReceivedResult]) -> str:
    facts = (
        ("Placer order", order.placer_number),
        ("Accession number", order.accession_number),
        ("Priority", order.priority),
        ("Question", order.question),
    )
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    told = "\n".join(_result(one) for one in results) or "<p>No result.</p>"
    return f"<section><dl>{listed}</dl>\n{told}</section>"


def _result(one: ReceivedResult) -> str:
    signed = ' class="signed"' if one.status in ("F", "C") else ""
    status = f", {STATUS.get(one.status, one.status)}" if one.status else ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in one.lines)
    findings = "".join(f"<li>{escape(line)}</li>" for line in one.findings)
    head = f"<h2>{escape(one.type)}{escape(status)}</h2><p>MSH-10 {escape(one.control_id)}</p>"
    return f"<article{signed}>{head}{lines}{f'<ul>{findings}</ul>' if findings else ''}</article>"

"""`echo-agent shadow report`: the monthly report for the head of department."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.commands.common import ConfigOption, database_of, settings_of
from agent.foundation.counted import counted


def report(
    month: Annotated[str, typer.Option(help="The month, such as 2026-10 (UTC).")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .pdf or .html.")],
    config: ConfigOption = None,
) -> None:
    """Write the report of a month as PDF or HTML; it contains no patient attributes."""
    from importlib.metadata import version

    from agent.foundation.errors import UnusableFile
    from agent.shadow.drift import DriftRule
    from agent.shadow.monthly import read_monthly
    from agent.shadow.report_blocks import report_blocks
    from agent.shadow.report_html import html_of
    from agent.shadow.report_pdf import pdf_of

    kind = out.suffix.lower()
    if kind not in (".pdf", ".html"):
        raise typer.BadParameter("the file's name ends in .pdf or .html", param_hint="--out")
    settings = settings_of(config)
    rule = DriftRule(
        baseline=settings.drift.baseline,
        studies=settings.drift.studies,
        false_alarm=settings.drift.false_alarm,
    )
    with database_of(settings).reading() as session:
        found = read_monthly(session, month, rule, version("echo-agent"))
        blocks = report_blocks(found)
    title = f"Draft reports against signed reports, {found.month}"
    content = pdf_of(blocks, title) if kind == ".pdf" else html_of(blocks, title).encode()
    try:
        out.write_bytes(content)
    except OSError as error:
        raise UnusableFile(f"{out} cannot be written: {type(error).__name__}") from error
    print(f"{out}: {counted(found.counts.compared, 'draft')} compared in {found.month}")

"""The monthly report, in HTML and PDF: its numbers match the database rows; it contains no patient data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from sqlalchemy import update

from agent.database.session import Database
from agent.database.tables import ShadowComparison
from agent.foundation.errors import NotFound
from agent.shadow.accuracy import accuracy
from agent.shadow.calibration import Calibration, Reliability, ReliabilityBin
from agent.shadow.certainty import CalibrationInUse
from agent.shadow.chosen import Chosen, chosen_studies, month_bounds
from agent.shadow.drift import DriftRule
from agent.shadow.monthly import MonthlyReport, read_monthly
from agent.shadow.plots import forest, over_months, reliability_plot
from agent.shadow.rates import rate
from agent.shadow.report_blocks import report_blocks
from agent.shadow.report_html import html_of
from agent.shadow.report_pdf import pdf_of
from agent.shadow.svg import svg_of
from agent.shadow.switching import paired_result
from benchmarks.shadow_replay import replay, studies_of

HOSTILE = "<script>x</script>"
RULE = DriftRule()
CALIBRATION = CalibrationInUse(
    digest="c" * 64,
    calibration=Calibration(slope=1.0, intercepts={}, other=0.0, fitted=321),
    reliability=Reliability(bins=(ReliabilityBin(count=9, stated=0.5, signed=0.4),), error=0.1, count=9),
)


@pytest.fixture
def report(database: Database, tmp_path: Path) -> MonthlyReport:
    """The report of August on 40 replayed studies; one device name is hostile."""
    replay(database, tmp_path, studies_of(40))
    with database.transaction() as session:
        hostile = update(ShadowComparison).where(ShadowComparison.device == "ACME / DX 0")
        session.execute(hostile.values(device=HOSTILE))
    with database.reading() as session:
        found = read_monthly(session, "2026-08", RULE, "1.2.3")
        studies = chosen_studies(session, Chosen(month="2026-08"))
        assert found.whole == accuracy(studies)[0]
        assert found.counts.compared == len(studies) > 5
        assert found.counts.with_disagreement == sum(bool(one.disagreements) for one in studies)
    return replace(found, calibration=CALIBRATION, paired=paired_result(studies, studies))


def test_report_says_the_same_in_html_and_pdf(report: MonthlyReport) -> None:
    """Every section and count is in both, without patient data, scripts or external resources."""
    blocks = report_blocks(report)
    html = html_of(blocks, "Report")
    document = pypdfium2.PdfDocument(pdf_of(blocks, "Report"))
    pdf = " ".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    sections = ("Findings", "Over the months", "Sites, devices and models", "Drift", "Method")
    for words in (*sections, "Calibrated probabilities", "ECHO Agent 1.2.3", "pneumothorax", "2026-08"):
        assert words in html
        assert words in pdf
    for words in ("DOE", "JANE", "P5000", "A5000", "1.2.826"):
        assert words not in html
        assert words not in pdf
    assert HOSTILE not in html
    assert not re.search(r"<script|<link|https?://(?!www\.w3\.org/2000/svg)", html)


def test_report_is_the_same_bytes_again(report: MonthlyReport) -> None:
    """The PDF depends only on its content."""
    blocks = report_blocks(report)
    assert pdf_of(blocks, "Report") == pdf_of(report_blocks(report), "Report")


def test_report_of_an_empty_month_says_so(database: Database) -> None:
    """With nothing compared there are no tables and no division by zero."""
    with database.reading() as session:
        found = read_monthly(session, "2001-02", RULE, "1.2.3")
    html = html_of(report_blocks(found), "Report")
    assert "No draft of this month has been compared" in html
    assert pdf_of(report_blocks(found), "Report").startswith(b"%PDF")


@pytest.mark.parametrize("wrong", ["2026-13", "2026-1", "0000-05", "9999-12", "٢٠٢٦-٠١", "", "2026-01-01"])
def test_month_that_is_none_is_not_found(wrong: str) -> None:
    """A month is written in ASCII digits and must have a following month."""
    with pytest.raises(NotFound, match="2026-10"):
        month_bounds(wrong)


def test_month_ends_where_the_next_begins() -> None:
    """December is followed by January of the next year."""
    assert month_bounds("2026-12")[1] == month_bounds("2027-01")[0]


def test_plots_without_cases_are_drawn() -> None:
    """Plots without data are drawn empty, and every text is escaped."""
    assert "<svg" in svg_of(forest(()))
    plot = over_months([(HOSTILE, rate(0, 0)), ("2026-02", rate(3, 4))], HOSTILE, [HOSTILE])
    assert HOSTILE not in svg_of(plot)
    assert "<svg" in svg_of(reliability_plot(Reliability(bins=(), error=0.0, count=0)))

"""Text templates: which are valid, and which findings of the report they would contradict."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent.foundation.settings.tree import WebSettings
from agent.reports.edited_report import Report, report_of
from agent.web.text_templates import opposed


def check(findings: str, template: str) -> list[str]:
    """Return what a findings template contradicts in a report with these findings."""
    before, after = report_of(findings, ""), report_of(f"{findings}\n{template}", "")
    return opposed(before, after, Report(findings=(template,), impression=()))


@pytest.mark.parametrize(
    ("findings", "template", "concept"),
    [
        ("There is a left pneumothorax.", "No pneumothorax.", "pneumothorax"),
        ("No pleural effusion.", "There is a small right pleural effusion.", "pleural effusion"),
        ("Possible right pleural effusion.", "No pleural effusion or pneumothorax.", "pleural effusion"),
        ("Mild pulmonary edema.", "No pulmonary edema. The heart is normal in size.", "pulmonary edema"),
    ],
)
def test_template_that_contradicts_the_report_is_named(findings: str, template: str, concept: str) -> None:
    """A template that reverses a finding of the report is always reported."""
    said = check(findings, template)
    assert any(one.startswith(concept) for one in said), said


@pytest.mark.parametrize(
    ("findings", "template"),
    [
        ("There is a left pneumothorax.", "No pleural effusion."),
        ("No pleural effusion.", "No pleural effusion or pneumothorax."),
        ("", "There is a left pneumothorax."),
        ("There is a left pneumothorax.", "Follow-up radiograph in six hours."),
    ],
)
def test_template_that_agrees_asks_nothing(findings: str, template: str) -> None:
    """New or identical statements are inserted without a question."""
    assert check(findings, template) == []


@pytest.mark.parametrize(
    "template",
    [
        {"name": "A", "sentences": ["No [side] effusion."]},
        {"name": "A", "sentences": ["No effusion"]},
        {"name": "A", "sentences": ["No effusion.", "___ pneumothorax."]},
        {"name": "A", "sentences": ["   "]},
        {"name": "", "sentences": ["No effusion."]},
        {"name": "A", "sentences": ["No\x07 effusion."]},
        {"name": "A", "sentences": ["No effusion."], "section": "history"},
        {"name": "A", "sentences": []},
    ],
)
def test_template_with_blanks_or_half_sentences_is_no_setting(template: dict[str, object]) -> None:
    """A forgotten blank would be signed; an unfinished sentence would run into the next one."""
    with pytest.raises(ValidationError):
        WebSettings.model_validate({"templates": [template]})


def test_templates_have_different_names() -> None:
    """The list of templates shows only their names."""
    twice = [{"name": name, "sentences": ["No effusion."]} for name in ("Normal", "normal")]
    with pytest.raises(ValidationError, match="two templates"):
        WebSettings.model_validate({"templates": twice})

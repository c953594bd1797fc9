"""Reading findings: one sentence of each kind that radiologists write, then whole reports."""

from __future__ import annotations

import pytest

from model.findings.extract import chexpert_classes, extract_findings
from model.findings.types import Finding, Presence

MARKS = {Presence.PRESENT: "+", Presence.ABSENT: "-", Presence.INDETERMINATE: "?"}


def short(finding: Finding) -> str:
    """`+concept side place severity change`, without what is not stated."""
    said = (finding.laterality, finding.location, finding.severity, finding.change)
    return " ".join([MARKS[finding.presence] + finding.concept, *(str(value) for value in said if value)])


def read(text: str) -> list[str]:
    """The findings of a text in short form."""
    return [short(finding) for finding in extract_findings(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion, PTX or consolidation.", ["-pleural_effusion", "-pneumothorax", "-consolidation"]),
        ("No pneumothorax, small right effusion.", ["-pneumothorax", "+pleural_effusion right mild"]),
        ("No PTX, but CHF is present.", ["-pneumothorax", "+pulmonary_edema"]),
        ("No edema, however the heart is enlarged.", ["-pulmonary_edema", "+cardiomegaly"]),
        ("No change in the small left effusion.", ["+pleural_effusion left mild unchanged"]),
        ("Atelectasis rather than pneumonia.", ["+atelectasis", "-pneumonia"]),
        ("Cannot exclude a small pneumothorax.", ["?pneumothorax mild"]),
        ("The left lung is not free of consolidation.", ["+consolidation left"]),
        ("The left pneumothorax has resolved.", ["-pneumothorax left resolved"]),
        ("Near complete resolution of the right pneumothorax.", ["+pneumothorax right decreased"]),
        ("No findings to suggest pneumonia.", ["-pneumonia"]),
        (
            "No evidence of pneumothorax other than a tiny left apical pneumothorax.",
            ["-pneumothorax right", "+pneumothorax left apex mild"],
        ),
        (
            "Small left and moderate right pleural effusions.",
            ["+pleural_effusion left mild", "+pleural_effusion right moderate"],
        ),
        ("The heart is borderline enlarged.", ["?cardiomegaly"]),
        ("Cardiac, mediastinal and hilar contours are normal.",
         ["-cardiomegaly", "-widened_mediastinum", "-hilar_enlargement"]),
        ("The lungs are otherwise clear.", []),
        ("No acute osseous abnormality.", ["-fracture"]),
        ("Fractures of the left third and fourth ribs.", ["+rib_fracture left"]),
        ("ETT tip is 4 cm above the carina.", ["+endotracheal_tube"]),
        (
            "ETT tip in the right mainstem bronchus.",
            ["+endotracheal_tube right_main_bronchus", "+malpositioned_device right_main_bronchus"],
        ),
        ("Right chest port with catheter tip in the SVC.", ["+central_line right superior_vena_cava"]),
        ("L pleural effusion.", ["+pleural_effusion left"]),
        ("THE HEART IS ENLARGED. NO PNEUMOTHORAX.", ["+cardiomegaly", "-pneumothorax"]),
        ("Pericardial effusion. Mass effect. Peripheral edema.", []),
    ],
)  # fmt: skip
def test_extract_findings_reads_a_sentence(text: str, expected: list[str]) -> None:
    """Scope, hedging, side, place, severity and change of one sentence are read correctly."""
    assert expected == read(text)


@pytest.mark.parametrize(
    "text",
    [
        "History of pneumonia.",
        "Rule out pneumonia.",
        "Recommend CT to exclude a nodule.",
        "INDICATION: pneumonia, pleural effusion.",
        "If there is clinical concern for pneumothorax, expiratory views are recommended.",
        "",
        "   \n\n ",
        "The weather is fine.",
    ],
)
def test_extract_findings_makes_none_from_history_questions_or_silence(text: str) -> None:
    """History, indications, recommendations and silence yield no finding."""
    assert read(text) == []


def test_extract_findings_skips_history_but_reads_what_follows_it() -> None:
    """A report that continues after its indication without a heading is read from the blank line."""
    text = "INDICATION: Pneumonia?\n\nThe heart is enlarged.\n\nIMPRESSION: Small left effusion."
    assert read(text) == ["+cardiomegaly", "+pleural_effusion left mild"]


def test_extract_findings_merges_findings_and_impression() -> None:
    """A concept stated twice is one finding with the most specific attributes."""
    text = "FINDINGS: Pleural effusion. IMPRESSION: Small left pleural effusion."
    (finding,) = extract_findings(text)
    assert short(finding) == "+pleural_effusion left mild"
    assert finding.evidence == "Small left pleural effusion."


def test_extract_findings_joins_wrapped_lines() -> None:
    """A line break within a sentence does not end a scope."""
    assert read("No focal consolidation,\npleural effusion or\npneumothorax.") == [
        "-consolidation",
        "-pleural_effusion",
        "-pneumothorax",
    ]


def test_extract_findings_keeps_plain_statement_over_hint() -> None:
    """A blunted angle suggests an effusion; a plain denial of an effusion outweighs it."""
    assert read("Blunting of the left costophrenic angle. No effusion.") == ["-pleural_effusion"]


def test_chexpert_classes_take_the_strongest_presence() -> None:
    """A class is present if any of its concepts is; a class that is not mentioned is left out."""
    classes = chexpert_classes(extract_findings("Possible nodule. Left upper lobe mass. No effusion."))
    assert classes == {"Pleural Effusion": Presence.ABSENT, "Lung Lesion": Presence.PRESENT}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No acute cardiopulmonary process.", True),
        ("Heart size normal. No effusion. No pneumothorax. ETT in place.", True),
        ("No pneumothorax.", False),
        ("Mild cardiomegaly. No acute cardiopulmonary process.", False),
        ("", False),
    ],
)
def test_chexpert_no_finding_needs_a_survey_without_positives(text: str, expected: bool) -> None:
    """Silence or a single negative is not a normal chest; any finding except a device rules it out."""
    assert expected == ("No Finding" in chexpert_classes(extract_findings(text)))

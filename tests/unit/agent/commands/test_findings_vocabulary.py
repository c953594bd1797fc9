"""The setting `findings.vocabulary`: checked by `config check`, and in force wherever texts are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from agent.commands.configuration.check import check
from agent.commands.draft_files import run_of
from agent.database.session import Database
from agent.foundation.errors import SettingsError
from agent.foundation.settings.load import load_settings
from agent.foundation.settings.tree import Settings
from model.findings.errors import VocabularyError
from model.findings.extract import extract_findings
from model.findings.vocabulary import load_vocabulary, put_in_force, put_in_force_unread
from tests.unit.agent.commands.conftest import Run
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

PLEURAL_AIR = "version: w\nconcepts: {pneumothorax: {synonyms: [pleural air]}}\n"


@pytest.fixture(autouse=True)
def shipped_afterwards() -> Iterator[None]:
    """Restore the shipped vocabulary after each test."""
    yield
    put_in_force(None)


def configured(folder: Path, vocabulary: str) -> Path:
    """A configuration with nothing but a vocabulary file of this content."""
    config = folder / "config.yaml"
    use(config, folder, vocabulary)
    return config


def use(config: Path, folder: Path, vocabulary: str) -> None:
    """Name a vocabulary file of this content in a configuration."""
    (folder / "ours.yaml").write_text(vocabulary)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"findings: {{vocabulary: {folder / 'ours.yaml'}}}\n")


def test_checked_vocabulary_is_in_force(tmp_path: Path) -> None:
    """A hospital's synonym is recognised after the check."""
    assert extract_findings("Pleural air on the left.") == ()
    check(configured(tmp_path, PLEURAL_AIR))
    assert [f.concept for f in extract_findings("Pleural air on the left.")] == ["pneumothorax"]


def test_synonym_of_another_concept_is_refused(tmp_path: Path) -> None:
    """The check names the concept that owns the word."""
    config = configured(tmp_path, "version: w\nconcepts: {pneumothorax: {synonyms: [effusion]}}\n")
    with pytest.raises(SettingsError, match="already belongs to pleural_effusion"):
        check(config)


def test_check_without_a_file_restores_the_shipped_vocabulary(tmp_path: Path) -> None:
    """A setting that a reload takes away no longer counts."""
    check(configured(tmp_path, PLEURAL_AIR))
    check(None)
    assert extract_findings("Pleural air on the left.") == ()


def test_a_draft_and_a_signed_report_are_read_with_the_same_words(
    run: Run, config: Path, database: Database, tmp_path: Path
) -> None:
    """A draft of before the hospital's words agrees with its own text and another name of the finding."""
    at = now_of(database)
    with database.transaction() as session:
        for uid, text in (("1.2.3", "Left pneumothorax."), ("1.2.4", "Pleural air on the left.")):
            job = add_job(session, add_study(session, uid, at=at), "DRAFTED", at=at)
            found = [asdict(one) for one in extract_findings(text)]
            add_draft(session, job, at=at, stored_after_s=None, content={"findings": found}).text = text
    use(config, tmp_path, PLEURAL_AIR)
    signed = tmp_path / "signed.csv"
    signed.write_text(
        "study_instance_uid,text\n1.2.3,Pleural air on the left.\n1.2.4,Pleural air on the left.\n",
        encoding="utf-8",
    )
    assert run("shadow", "import", str(signed)).exit_code == 0
    (group,) = json.loads(run("shadow", "agreement", "--json").stdout)
    (concept,) = group["concepts"]
    assert (concept["concept"], concept["true_positive"]) == ("pneumothorax", 2)


def test_files_are_drafted_with_the_hospitals_words(tmp_path: Path) -> None:
    """`draft` and each worker of an offline backfill read the network's text like the service."""
    run_of(load_settings(configured(tmp_path, PLEURAL_AIR)), None)
    assert [one.concept for one in extract_findings("Pleural air on the left.")] == ["pneumothorax"]
    run_of(Settings(), None)
    assert extract_findings("Pleural air on the left.") == ()


def test_wrong_vocabulary_stops_what_needs_it_and_nothing_else(
    run: Run, config: Path, database: Database, tmp_path: Path
) -> None:
    """No file is drafted with half a vocabulary; the operator's commands still work."""
    use(config, tmp_path, "concepts: 7\n")
    with pytest.raises(VocabularyError, match=r"ours\.yaml"):
        run_of(load_settings(config), None)
    assert run("shadow", "status").exit_code == 0
    result = run("shadow", "disagreements", "--concept", "mass")
    assert (result.exit_code, "ours.yaml" in result.stderr) == (2, True)


TENSION = "tension_pneumothorax: {chexpert: Pneumothorax, region: pleura, code: [X, '1', x], site: pleura}"


@pytest.mark.parametrize(
    "content",
    [
        f"concepts: {{{TENSION}}}",
        "concepts: {mass: {weak: [tension pneumothorax]}}",
        "languages: {de: {terms: {concepts: {mass: {synonyms: [pneu links]}}}}}",
        "concepts: {pneumothorax: {becomes: {mass: [tension]}}}",
    ],
)
def test_concept_that_takes_texts_from_an_urgent_one_is_refused(tmp_path: Path, content: str) -> None:
    """What was urgent must stay so: "tension pneumothorax" is no `pneumothorax` any more."""
    with pytest.raises(SettingsError, match=r"urgency\[0\]\.concept: .*, and the rule would miss it"):
        check(configured(tmp_path, content))


def test_location_that_takes_texts_from_an_urgent_one_is_refused(tmp_path: Path) -> None:
    """A tube in the "distal right main bronchus" is no less urgent."""
    content = "locations: {distal: {name: distal right main bronchus}}"
    with pytest.raises(SettingsError, match=r"\.location: .* as distal instead of right_main_bronchus"):
        check(configured(tmp_path, content))


def test_rule_that_names_the_own_concept_too_is_right(tmp_path: Path) -> None:
    """The remedy of the message is enough; the draft stays critical."""
    config = configured(tmp_path, f"concepts: {{{TENSION}}}")
    with config.open("a", encoding="utf-8") as file:
        concepts = "[pneumothorax, tension_pneumothorax]"
        file.write(f"urgency: [{{name: p, concept: {concepts}, level: critical, priority: 5}}]\n")
    check(config, strict=False)
    assert [f.concept for f in extract_findings("Tension pneumothorax.")] == ["tension_pneumothorax"]


def test_edit_counts_only_after_a_reload(tmp_path: Path) -> None:
    """A half-saved file stops no report; the next reload refuses it, and the old one stays in force."""
    config = configured(tmp_path, PLEURAL_AIR)
    check(config)
    for content in ("concepts: 7\n", f"concepts: {{{TENSION}}}"):
        (tmp_path / "ours.yaml").write_text(content)
        assert [f.concept for f in extract_findings("Pleural air on the left.")] == ["pneumothorax"]
        with pytest.raises(SettingsError):
            check(config)
        assert [f.concept for f in extract_findings("Pleural air on the left.")] == ["pneumothorax"]


def test_reload_reads_the_language_files_anew(tmp_path: Path) -> None:
    """A language file that became wrong is found although the vocabulary's own file is as it was."""
    (tmp_path / "ours_en.yaml").write_text("negated: {before: [zero sign of]}\n")
    config = configured(tmp_path, "languages: {en: ours_en.yaml}\n")
    check(config)
    (tmp_path / "ours_en.yaml").write_text("negated: {before: 5}\n")
    with pytest.raises(SettingsError, match=r"languages\.en\.negated\.before: must be a list"):
        check(config)


def test_file_of_a_command_is_read_once(tmp_path: Path) -> None:
    """The first text reads it; a later edit does not change the middle of a run."""
    (tmp_path / "ours.yaml").write_text(PLEURAL_AIR)
    put_in_force_unread(tmp_path / "ours.yaml")
    first = load_vocabulary()
    (tmp_path / "ours.yaml").write_text("concepts: 7\n")
    assert load_vocabulary() is first

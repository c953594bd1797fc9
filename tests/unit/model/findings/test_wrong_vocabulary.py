"""Hospitals' files that cannot be used: each is refused with the place of every mistake and a remedy."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from model.findings.errors import VocabularyError
from model.findings.extract import extract_findings
from model.findings.lexicon import SHIPPED, shipped_data
from model.findings.ownership import pack_words_owned_elsewhere
from model.findings.schema import PACK, VOCABULARY
from model.findings.shape import fitting
from model.findings.text_maps import abbreviation_problems, letter_problems
from model.findings.vocabulary import load_vocabulary
from model.yaml_once import parse_yaml

NEW = "region: bones, site: chest"


def problems(folder: Path, content: str) -> str:
    """The problems of a file of this content, one a line."""
    file = folder / "ours.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(VocabularyError) as caught:
        load_vocabulary(file)
    return "\n".join(caught.value.problems)


def test_a_word_that_yaml_does_not_read_as_text_is_refused(tmp_path: Path) -> None:
    """An unquoted `no` is False for YAML: the abbreviation of a denial would be the word "false"."""
    text = problems(tmp_path, "abbreviations: {ø: no, on: x}\nlanguages: {no: {}}\n")
    assert "abbreviations.ø: False is not text: put it in quotation marks" in text
    assert "abbreviations: the key True is not text" in text
    assert "languages: the key False is not text" in text
    (tmp_path / "ours.yaml").write_text("abbreviations: {ø: 'no', n: 'no'}\n", encoding="utf-8")
    (found,) = extract_findings("Ø pneumothorax.", load_vocabulary(tmp_path / "ours.yaml"))
    assert (found.concept, str(found.presence)) == ("pneumothorax", "absent")


@pytest.mark.parametrize("place", ["abbreviations", "languages.en.abbreviations"])
@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{a: [b]}", "a: ['b'] is not text"),
        ("{a: null}", "a: None is not text"),
        ('{a: ""}', "a: '' has no words"),
        ('{a: "-"}', "a: '-' has no words"),
        ("{a: b, A: c}", "A: is 'a' in other capitals"),
        ("{px: pneumothorax.}", "px: 'pneumothorax.' has signs"),
        ("{px: 'pneumothorax, no'}", "px: 'pneumothorax, no' has signs"),
        ("{xxxx: b}", "xxxx: is never found"),
        ("{ＰＸ: b}", "ＰＸ: is never found"),
        ("{px+: b}", "px+: is never found"),
    ],
)
def test_wrong_abbreviation_is_refused(tmp_path: Path, place: str, table: str, said: str) -> None:
    """Both sides are words; a value parts no sentence, and a key can be found in a text."""
    content = f"abbreviations: {table}\n"
    for outer in reversed(place.split(".")[:-1]):
        content = f"{outer}:\n" + "".join(f"  {line}\n" for line in content.splitlines())
    assert f"{place}.{said}" in problems(tmp_path, content)


def test_wrong_letters_are_refused(tmp_path: Path) -> None:
    """A letter is one letter and stands for one word."""
    text = problems(tmp_path, "languages: {en: {letters: {LL: left, Q: on the left, n: no}}}\n")
    assert [line.partition(": ")[0].rpartition(".")[2] for line in text.splitlines()] == ["n", "LL", "Q"]


@pytest.mark.parametrize(
    "content",
    [
        "elsewhere: 5",
        "elsewhere: [5]",
        "elsewhere: [{concepts: [mass]}]",
        "elsewhere: [{concepts: [mass], words: x}]",
        "structures: {heart: {normal: null}}",
        "structures: {heart: {states: [enlarged]}}",
        "malposition: {chest_tube: null}",
        "state_normal: null",
        "state_normal: 5",
        "concepts: {7: {synonyms: [x]}}",
        "concepts: {mass: {synonyms: null}}",
        "concepts: {x: null}",
        "locations: {x: []}",
        "abbreviations: 5",
        "languages: 5",
        "languages: {en: 5}",
        'languages: {en: "a\\0b"}',
        "languages: {en: {terms: {concepts: null}}}",
        "languages: {en: {terms: {locations: []}}}",
        "languages: {en: {ends: [7]}}",
        "languages: {en: {headings: {history: 5}}}",
        'languages: {en: {words: {changes: ["{changes}"]}}}',
        "languages: {zh: {wording: {graded: {amount: [[x]]}, grades: 5}}}",
        "languages: {zh: {wording: {graded: null}}}",
        "languages: {zh: {wording: {names: {mass: 5}}}}",
        "version: null",
        "version: ''",
        "version: 2024-13-45",
    ],
)
def test_part_of_the_wrong_shape_is_one_clear_error(tmp_path: Path, content: str) -> None:
    """Whatever stands in the file, the answer names the place and is no traceback."""
    section = content.partition(":")[0]
    assert problems(tmp_path, content).startswith((section, "is not YAML"))


def test_what_follows_from_a_mistake_is_no_second_problem(tmp_path: Path) -> None:
    """A code of the wrong type is not also reported as missing."""
    content = f"concepts: {{a: {{{NEW}, code: [SCT, 1, A]}}}}\nlocations: {{b: {{name: 3}}}}\n"
    text = problems(tmp_path, content)
    assert [line.partition(": ")[0] for line in text.splitlines()] == ["concepts.a.code", "locations.b.name"]


@pytest.mark.parametrize("rows", ["[]", "[{concepts: [fibrosis], words: [quokka]}]"])
def test_hospital_adds_sites_elsewhere(tmp_path: Path, rows: str) -> None:
    """The rows join the shipped ones."""
    file = tmp_path / "ours.yaml"
    file.write_text(f"elsewhere: {rows}\n")
    ours = load_vocabulary(file).elsewhere
    assert [row.words for row in ours[4:]] == [("quokka",)][: len(rows) // 3]


def test_copy_of_the_shipped_file_can_be_used(tmp_path: Path) -> None:
    """A hospital may start from a copy; nothing is there twice."""
    file = tmp_path / "ours.yaml"
    file.write_bytes(files("model.findings").joinpath("vocabulary.yaml").read_bytes())
    ours, shipped = load_vocabulary(file), load_vocabulary()
    assert (ours.concepts, ours.elsewhere) == (shipped.concepts, shipped.elsewhere)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("denials: {fractures: [bony insult]}", "denials.fractures: is none of the concepts"),
        ("locations: {nowhere: [x]}", "locations.nowhere: is none of the locations"),
        ("structures: {hearts: [x]}", "structures.hearts: is none of the structures"),
        ("concepts: {masses: {synonyms: [x]}}", "concepts.masses: is none of the concepts"),
        ("concept: {}", "concept: `concept` is not known here"),
    ],
)
def test_terms_of_a_pack_name_what_the_vocabulary_has(tmp_path: Path, terms: str, said: str) -> None:
    """A mistyped key is refused; a text would have met it first."""
    assert f"languages.en.terms.{said}" in problems(tmp_path, f"languages: {{en: {{terms: {{{terms}}}}}}}\n")


def test_pack_of_another_language_is_refused(tmp_path: Path) -> None:
    """A pack's language is that of its key: it decides which words are read."""
    text = problems(tmp_path, "languages: {fr: {language: en}}\n")
    assert text.startswith("languages.fr.language: must be 'fr'")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('[SCT, "", ""]', "the value is empty"),
        ('[SCT, "1", ""]', "the meaning is empty"),
        ('["", "1", x]', "the scheme is empty"),
        ('["S T", "1", x]', "the scheme 'S T' must have"),
        ("[SCT12345678901234, '1', x]", "the scheme 'SCT12345678901234' must have"),
        ('[SCT, " 1", x]', "the value ' 1' has blanks"),
        ('[SCT, "1", "a\\\\b"]', "the meaning 'a\\\\b' has a backslash"),
        ('[SCT, "1", "a\\tb"]', "the meaning 'a\\tb' has a backslash or a control character"),
        (f'[SCT, "1", {"ä" * 33}]', "the meaning has more than 64 bytes"),
        ('[SCT, "36118008", x]', "SCT 36118008 is the code of pneumothorax"),
    ],
)
def test_code_that_no_document_can_carry_is_refused(tmp_path: Path, code: str, said: str) -> None:
    """A draft with the concept could not be stored: the limits of DICOM's codes are checked before."""
    assert f"concepts.s.code: {said}" in problems(tmp_path, f"concepts: {{s: {{{NEW}, code: {code}}}}}\n")


@pytest.mark.parametrize("name", ["''", "ä" * 33, "' q'", '"q\\\\"'])
def test_location_that_no_document_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    """A location's name is the meaning of a code."""
    assert problems(tmp_path, f"locations: {{q: {{name: {name}}}}}\n").startswith("locations.q")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            f"concepts: {{empyema: {{{NEW}, code: [X, '1', x]}}}}",
            "concepts.empyema: 'empyema' already belongs to pleural_effusion",
        ),
        (
            "languages: {en: {terms: {concepts: {pneumothorax: {synonyms: [Effusions]}}}}}",
            "languages.en.terms.concepts.pneumothorax: 'effusions' already belongs to pleural_effusion",
        ),
        (
            "concepts: {mass: {weak: [Pleural-effusion]}}",
            "concepts.mass: 'pleural effusion' already belongs to pleural_effusion",
        ),
        (
            "languages: {de: {terms: {concepts: {mass: {weak: [erguss]}}}}}",
            "languages.de.terms.concepts.mass: 'erguss' already belongs to pleural_effusion",
        ),
        (
            "languages: {en: {terms: {structures: {heart: [lungs]}}}}",
            "languages.en.terms.structures.heart: 'lungs' already belongs to lungs",
        ),
        ("structures: {my: {terms: [Heart]}}", "structures.my: 'heart' already belongs to heart"),
        ("locations: {my: {name: apex}}", "locations.my: 'apex' already belongs to apex"),
        ("locations: {apex: {terms: [bases]}}", "locations.apex: 'bases' already belongs to base"),
    ],
)
def test_word_of_another_owner_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """A word names one concept, one part of the body and one place; the error names its owner."""
    assert f"{said}: leave it out here" in problems(tmp_path, content)


def test_word_that_states_two_concepts_may_be_listed_again(tmp_path: Path) -> None:
    """Hydropneumothorax belongs to both; `both` of a pack makes another such word."""
    file = tmp_path / "ours.yaml"
    file.write_text(
        "concepts: {pneumothorax: {synonyms: [hydropneumothorax]}}\n"
        "languages: {en: {terms: {both: [empyema], concepts: {pneumothorax: {synonyms: [empyema]}}}}}\n"
    )
    found = extract_findings("Empyema.", load_vocabulary(file))
    assert {one.concept for one in found} == {"pneumothorax", "pleural_effusion"}


def test_shipped_data_passes_the_checks_of_a_hospitals() -> None:
    """What is shipped has the shape of the schema, its maps and owners are right."""
    found: list[str] = []
    text = files("model.findings").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    data = fitting(parse_yaml(text), VOCABULARY, "", found)
    found += abbreviation_problems("abbreviations", data["abbreviations"])
    for code in SHIPPED:
        pack = fitting(shipped_data(code), PACK, code, found)
        found += abbreviation_problems(code, pack.get("abbreviations", {}), spoken=True)
        found += letter_problems(code, pack.get("letters", {}))
        found += pack_words_owned_elsewhere(code, {}, pack, data)
    assert found == []

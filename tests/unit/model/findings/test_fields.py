"""Fields with an answer for each side, devices that are gone or not yet there, and sides that get lost."""

from __future__ import annotations

import pytest

from tests.unit.model.findings.conftest import stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Effusion: right - none, left - small", "-pleural_effusion@R +pleural_effusion@L"),
        ("Pneumothorax: R: none L: small", "-pneumothorax@R +pneumothorax@L"),
        ("Effusion: right present, left absent", "+pleural_effusion@R -pleural_effusion@L"),
        ("Effusion: R - yes, L - no", "+pleural_effusion@R -pleural_effusion@L"),
        ("Effusion: R - no, L - yes", "-pleural_effusion@R +pleural_effusion@L"),
        ("Effusion: right cannot be excluded, left none", "?pleural_effusion@R -pleural_effusion@L"),
        ("Pleural effusion right: small, left: none.", "+pleural_effusion@R -pleural_effusion@L"),
        ("Pneumothorax: left apical, 2 cm; right none.", "+pneumothorax@L -pneumothorax@R"),
        ("Chest tubes: R in situ, L removed.", "+chest_tube@R -chest_tube@L~resolved"),
        ("Erguss: rechts gering, links keiner.", "+pleural_effusion@R -pleural_effusion@L"),
        ("Effusion: Left: no", "-pleural_effusion@L"),
        ("Effusion right yes left no", "+pleural_effusion@R -pleural_effusion@L"),
        ("Consolidation: RLL present, LLL absent", "+consolidation@R -consolidation@L"),
        ("Derrame pleural: derecho sí, izquierdo no.", "+pleural_effusion@R -pleural_effusion@L"),
        ("Erguss: rechts ja, links nein.", "+pleural_effusion@R -pleural_effusion@L"),
        ("胸腔积液:左侧无,右侧有。", "-pleural_effusion@L +pleural_effusion@R"),
        (
            "Effusion: right: small, left: moderate with compressive atelectasis",
            "+pleural_effusion@R +pleural_effusion@L +atelectasis",
        ),
        (
            "Effusion: Right: none, Left: small, unchanged; Pneumothorax: no.",
            "-pleural_effusion@R +pleural_effusion@L~unchanged -pneumothorax",
        ),
    ],
)
def test_each_side_of_a_field_has_its_own_answer(text: str, expected: str) -> None:
    """The answer of one side neither denies nor grades the item on the other."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pneumothorax: Right: none. Left: small.", "-pneumothorax@R +pneumothorax@L"),
        ("Pneumothorax:\nRight: none\nLeft: small", "-pneumothorax@R +pneumothorax@L"),
        ("Pneumothorax? Right: no. Left: yes.", "-pneumothorax@R +pneumothorax@L"),
        ("Effusion | Right: Yes | Left: No", "+pleural_effusion@R -pleural_effusion@L"),
        ("Effusion: right small. Left none.", "+pleural_effusion@R -pleural_effusion@L"),
    ],
)
def test_side_in_the_next_sentence_belongs_to_the_item(text: str, expected: str) -> None:
    """A stop or a line between the sides of one field does not part it."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Effusion: right, no, left small.", "+pleural_effusion@L"),
        ("Effusion: right none, sorry, left none.", "-pleural_effusion@L"),
        ("Effusion: left", "+pleural_effusion@L"),
        ("Effusion: right small, left atelectasis", "+pleural_effusion@R +atelectasis@L"),
        ("Effusion: bilateral, right greater than left", "+pleural_effusion@B"),
        ("Effusion: left small. Right upper lobe: stable.", "+pleural_effusion@L"),
        ("Pneumothorax: none. Right: chest tube.", "-pneumothorax +chest_tube@R"),
        ("Lungs: right clear, left consolidation", "-lung_opacity@R +consolidation@L"),
    ],
)
def test_field_without_pairs_stays_as_it_was(text: str, expected: str) -> None:
    """One side, another finding behind a side, or a label of its own is no second answer."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| Finding | Right | Left |\n| Effusion | Yes | No |", "+pleural_effusion@R -pleural_effusion@L"),
        (
            "| Finding | Right | Left |\n|---|---|---|\n| Effusion | no | small |\n| Pneumothorax | - | no |",
            "-pleural_effusion@R +pleural_effusion@L -pneumothorax@L",
        ),
        ("Finding\tLeft\tRight\nEffusion\tyes\tno\nPneumothorax\tno\tyes",
         "+pleural_effusion@L -pleural_effusion@R -pneumothorax@L +pneumothorax@R"),
        ("| Finding | Present |\n| Effusion | Yes |\n| Nodule | No |", "+pleural_effusion -nodule"),
    ],
)  # fmt: skip
def test_rows_of_a_table_have_the_sides_of_its_head(text: str, expected: str) -> None:
    """A head with both sides gives each cell below it its side; an empty cell states nothing."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Removed: ETT, NGT.", "-endotracheal_tube~resolved -feeding_tube"),
        ("Interval removal: ETT.", "-endotracheal_tube~resolved"),
        ("Lines removed: Swan-Ganz", "-central_line~resolved"),
        ("Interval removal: ETT and NGT, PICC unchanged.",
         "-endotracheal_tube~resolved -feeding_tube +central_line~unchanged"),
        ("Removed: ETT; right PICC in place.", "-endotracheal_tube~resolved +central_line@R"),
        ("Removed since prior: ETT and NGT.", "-endotracheal_tube~resolved -feeding_tube"),
        ("Entfernt: ZVK.", "-central_line"),
        ("Chest tube removed: small pneumothorax.", "-chest_tube~resolved +pneumothorax"),
        ("ETT removed: yes", "-endotracheal_tube~resolved"),
    ],
)  # fmt: skip
def test_removed_denies_the_devices_of_its_list(text: str, expected: str) -> None:
    """Behind a device the verb is that device's own."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ETT not yet placed.", "-endotracheal_tube"),
        ("Chest tube was not placed.", "-chest_tube"),
        ("Left pneumothorax, left chest drain not yet inserted.", "+pneumothorax@L -chest_tube@L"),
        ("Left pneumothorax and chest tube was not placed.", "+pneumothorax@L -chest_tube"),
        ("Consolidation, ETT removed.", "+consolidation -endotracheal_tube~resolved"),
        ("The mass was removed.", "-mass~resolved"),
        ("ETT and NGT not yet placed.", "-endotracheal_tube -feeding_tube"),
        ("Chest drain to be inserted.", ""),
        ("NG tube is to be placed today; ETT in place.", "+endotracheal_tube"),
        ("The ETT is to be placed higher.", "+endotracheal_tube"),
        ("PICC to be removed.", "+central_line"),
        ("ETT should be replaced by a tracheostomy.", "+endotracheal_tube +support_device"),
        ("NG tube appears to be placed in the stomach.", "+feeding_tube"),
        ("Chest tube was not placed in the pleural space.", "+chest_tube"),
    ],
)
def test_device_that_is_not_yet_placed_is_not_there(text: str, expected: str) -> None:
    """What is badly placed or only seems placed is there."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Left chest tube has been replaced by a right chest tube.",
            "-chest_tube@L~resolved +chest_tube@R",
        ),
        ("ETT replaced by a tracheostomy tube.", "-endotracheal_tube~resolved +support_device"),
        ("ZVK links ersetzt durch ZVK rechts.", "-central_line@L~resolved +central_line@R"),
        ("Left chest tube exchanged for a new left chest tube.", "+chest_tube@L~new"),
        ("ETT exchanged for a larger one.", "+endotracheal_tube~increased"),
        ("One of two left chest tubes has been removed.", "+chest_tube@L"),
        ("Eine der beiden Thoraxdrainagen links wurde entfernt.", "+chest_tube@L"),
        ("Both left chest tubes have been removed.", "-chest_tube@B~resolved"),
    ],
)
def test_replaced_device_is_gone_and_a_renewed_one_is_not(text: str, expected: str) -> None:
    """Of several devices of which one is gone, the others stay."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L chest tube, Swan-Ganz in main PA.", "+chest_tube@L +central_line"),
        ("Left chest tube and PICC.", "+chest_tube@L +central_line@L"),
        ("Fraktur der 6. Rippe links", "+rib_fracture@L"),
        ("Rippenfraktur 6. Rippe links ohne Pneumothorax.", "+rib_fracture@L -pneumothorax"),
        ("ZVK über V. jugularis rechts", "+central_line@R"),
        ("Erguss links. Kein Pneumothorax rechts.", "+pleural_effusion@L -pneumothorax@R"),
        ("Consolidación en LSI.", "+consolidation@L"),
        ("Atelectasia en LII, derrame derecho.", "+atelectasis@L +pleural_effusion@R"),
        ("Consolidación LID.", "+consolidation@R"),
        ("Consolidación LSD.", "+consolidation@R"),
    ],
)
def test_side_is_neither_invented_nor_lost(text: str, expected: str) -> None:
    """The stop of an ordinal or an initial parts no side from its finding, a comma parts two devices."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Bilateral effusions have resolved on the right and decreased on the left.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~decreased",
        ),
        (
            "Bilateral effusions have decreased on the left and resolved on the right.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~decreased",
        ),
        ("Bilateral effusions have resolved.", "-pleural_effusion@B~resolved"),
        ("No bilateral effusions.", "-pleural_effusion@B"),
    ],
)
def test_what_both_sides_had_is_denied_only_where_it_has_gone(text: str, expected: str) -> None:
    """The side that is named with the denial is the one without the finding."""
    assert stated(text) == " ".join(sorted(expected.split()))

"""How far a denial reaches: it ends at ", with", at the same finding on another side, and at an aside."""

from __future__ import annotations

import pytest

from tests.unit.model.findings.conftest import stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Without pneumothorax, with effusion on right.", "-pneumothorax +pleural_effusion@R"),
        ("No pneumothorax, with chest tube in place.", "-pneumothorax +chest_tube"),
        (
            "No pneumothorax or effusion, with atelectasis at the left base.",
            "-pneumothorax -pleural_effusion +atelectasis@L",
        ),
        ("Sin neumotórax, con derrame derecho.", "-pneumothorax +pleural_effusion@R"),
        ("Ohne Pneumothorax, mit Erguss rechts.", "-pneumothorax +pleural_effusion@R"),
        ("No consolidation, with or without effusion.", "-consolidation -pleural_effusion"),
        ("No pneumothorax, with no effusion on the left.", "-pneumothorax -pleural_effusion@L"),
    ],
)
def test_with_after_a_comma_ends_a_denial(text: str, expected: str) -> None:
    """ "With" turns to what there is, and its side is its own."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion on the left, effusion on the right.", "-pleural_effusion@L +pleural_effusion@R"),
        ("No effusion on the left and effusion on the right.", "-pleural_effusion@L +pleural_effusion@R"),
        (
            "No evidence of pneumothorax on the left, pneumothorax on the right unchanged.",
            "-pneumothorax@L +pneumothorax@R~unchanged",
        ),
        (
            "Atelectasis without effusion on left, effusion without atelectasis on right.",
            "+atelectasis@L -atelectasis@R -pleural_effusion@L +pleural_effusion@R",
        ),
        (
            "Effusion on right without pneumothorax, pneumothorax on left without effusion.",
            "+pleural_effusion@R +pneumothorax@L",
        ),
        (
            "Effusion but no pneumothorax on the right; pneumothorax but no effusion on the left.",
            "+pleural_effusion@R -pneumothorax@R +pneumothorax@L -pleural_effusion@L",
        ),
        ("Kein Erguss links, Erguss rechts.", "-pleural_effusion@L +pleural_effusion@R"),
        ("No left effusion or right effusion.", "-pleural_effusion@L -pleural_effusion@R"),
        ("No effusion, pneumothorax, or pleural effusion.", "-pleural_effusion -pneumothorax"),
        ("Removal of left chest tube and right chest tube.", "-chest_tube@L~resolved -chest_tube@R"),
    ],
)
def test_list_of_denied_things_names_none_of_them_again(text: str, expected: str) -> None:
    """The same finding on another side begins a new statement, unless an "or" goes on with the list."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "No pneumothorax is seen on the right where a chest tube is in place, while a small one persists "
            "on the left.",
            "-pneumothorax@R +chest_tube@R +pneumothorax@L~unchanged",
        ),
        ("No effusion on the left where there is a chest tube.", "-pleural_effusion@L +chest_tube@L"),
        ("Kein Nachweis eines Pneumothorax nach Anlage eines ZVK rechts.", "-pneumothorax +central_line@R"),
        ("Kein Pneumothorax unter liegender Drainage rechts.", "-pneumothorax +chest_tube@R"),
        ("Kein Erguss trotz ZVK links.", "-pleural_effusion +central_line@L"),
        ("Kein Pneumothorax nach Entfernung der Thoraxdrainage.", "-pneumothorax -chest_tube"),
        ("No se observa neumotórax tras retirada del drenaje.", "-pneumothorax"),
        ("Keine Verlagerung der Trachea nach links.", "-tracheal_deviation"),
        ("Sin neumotórax tras colocación de drenaje torácico derecho.", "-pneumothorax +chest_tube@R"),
    ],
)
def test_aside_is_not_denied(text: str, expected: str) -> None:
    """What the patient has in a clause about something else is not an item of the denial."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    "text",
    [
        "Although no pneumothorax was seen yesterday, today there is a small one on the right.",
        "No pneumothorax was seen yesterday, but there is a small one today on the right.",
        "No pneumothorax was present before, currently there is a tiny one on the right.",
    ],
)
def test_one_of_today_is_the_finding_denied_yesterday(text: str) -> None:
    """ "Today there is one" repeats the noun of the denial before it."""
    assert stated(text) == "+pneumothorax@R"

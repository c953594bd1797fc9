"""The tables of header values: each row is routed as it states."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import router_of
from agent.objects.header import Code, Header

DATA = Path(__file__).parents[5] / "data" / "films"
ROUTER = router_of(Settings())
# The rules that the words of the first table stand for.
KINDS = {
    "several regions": {"chest-and-abdomen", "several-regions"},
    "contradiction: not drafted as a chest film": {"region-contradiction"},
    "modality rule, can be switched on": {"modality-not-drafted"},
}


def rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of one table by column."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    yield from csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")


def header(row: dict[str, str]) -> Header:
    """The header that a row describes."""
    value, _, scheme = row["region_code"].partition("^")
    return Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        sop_instance_uid="1.2.3.1",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality=row["modality"],
        body_part_examined=row["body_part"],
        study_description=row["study_description"],
        series_description=row["series_description"],
        protocol_name=row.get("protocol_name", ""),
        anatomic_regions=(Code(value=value, scheme=scheme, meaning=""),) if value else (),
    )


@pytest.mark.parametrize(
    "table", ["routing.tsv", "blind_routing.tsv", "more_routing.tsv", "radiographers.tsv", "departments.tsv"]
)
def test_every_row_is_routed_as_it_says(table: str) -> None:
    """A chest film is accepted, and any other image is skipped by a rule of the kind that the row names."""
    wrong = []
    for row in rows(table):
        decision = ROUTER.decide(header(row))
        kinds = KINDS.get(row["expected"])
        right = decision.accepted is (row["expected"] == "chest")
        if not right or (kinds is not None and decision.rule not in kinds):
            wrong.append((row, decision.rule))
    assert wrong == []

"""The account of the chaos run finds what it must find."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.database.session import Database, open_engine
from agent.database.tables import Base
from agent.objects.store import InstanceStore
from benchmarks.chaos_account import account, delivered, duplicates
from benchmarks.chaos_pacs import Arrival, read_record
from benchmarks.chaos_run import shares
from benchmarks.chaos_sender import Acknowledged


def arrival(study: str, sop_class: str, sop_instance: str) -> Arrival:
    """Return an arrival at the PACS."""
    return Arrival(study=study, sop_class=sop_class, sop_instance=sop_instance)


PAIR = [arrival("1", "A", "1.1"), arrival("1", "B", "1.2")]


def test_copy_is_no_duplicate_and_a_second_draft_is() -> None:
    """The same UID twice is a retry; another UID of the same class and study is another draft."""
    copies = [*PAIR, PAIR[0]]
    assert (duplicates(copies), duplicates([*PAIR, arrival("1", "A", "1.3")])) == (0, 1)


def test_study_is_delivered_with_both_documents() -> None:
    """One document alone does not count as a delivery."""
    assert delivered([*PAIR, arrival("2", "A", "2.1")]) == {"1"}


def test_acknowledged_object_without_row_counts_everywhere(tmp_path: Path) -> None:
    """An object missing from the database counts as lost, its study as invisible and undelivered."""
    database = Database(open_engine(f"sqlite:///{tmp_path / 'a.db'}"))
    Base.metadata.create_all(database.engine)
    found = account(
        database, InstanceStore(tmp_path / "store", 0), [Acknowledged(study="9", sop_instance="9.1")], PAIR
    )
    database.close()
    assert (found.lost, found.duplicates, found.invisible, found.undelivered) == (1, 0, 1, 1)


def test_unfinished_line_of_the_record_is_left_out(tmp_path: Path) -> None:
    """A PACS killed in the middle of a line had not answered yet."""
    record = tmp_path / "record"
    record.write_text('{"study": "1", "sop_class": "A", "sop_instance": "1.1"}\n{"study": "1", "so')
    assert read_record(record) == PAIR[:1]


@pytest.mark.parametrize("kills", [3, 10, 200])
def test_shares_add_up(kills: int) -> None:
    """Each role is killed at least once, and the total is the requested number."""
    assert (sum(shares(kills).values()), min(shares(kills).values()) >= 1) == (kills, True)

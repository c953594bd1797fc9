"""The figures of shadow mode over database rows match the truth."""

from __future__ import annotations

from pathlib import Path

from agent.database.session import Database
from benchmarks.shadow_replay import differences, replay, studies_of


def test_replayed_phantoms_give_the_figures_of_the_truth(database: Database, tmp_path: Path) -> None:
    """Every count of every finding in every group equals the one computed only from phantoms and errors."""
    studies = studies_of(100)
    replay(database, tmp_path, studies)
    assert list(differences(database, studies)) == []


def test_replay_notices_a_wrong_figure(database: Database, tmp_path: Path) -> None:
    """The comparison with the truth detects differences: other studies have other figures."""
    replay(database, tmp_path, studies_of(6))
    assert list(differences(database, studies_of(7)[1:])) != []
